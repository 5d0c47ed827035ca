//! The answer to a `Hello`: checks the token, takes the slots of a session and registers it.

use std::sync::Arc;

use super::super::admission::{Admission, SessionSlot};
use super::responder::Responder;
use super::state::{Hello, HelloOptions, HelloRefusal, Proof};
use crate::actors::cache::SessionRegistration;
use crate::domain::device::DeviceKey;
use crate::protocol::answer::GoodbyeCode;
use crate::protocol::code::Code;
use crate::services::ServiceError;

impl Responder {
    /// Checks a `Hello`, and returns the registration of its session.
    pub(super) fn registration(
        &self,
        hello: Hello,
        request_id: Option<u64>,
    ) -> Result<SessionRegistration, HelloRefusal> {
        let Hello { proof, options: HelloOptions { echo, device, status, udp } } = hello;
        let proven = match proof {
            Proof::Token(token) => self.services.credential(&token),
            Proof::WebLogin(who) => Ok(who),
        };
        let who = proven
            .map_err(|error| HelloRefusal { error: Some(error), code: GoodbyeCode::Unauthenticated })?;
        let device = DeviceKey::parse(device, DeviceKey::Session(self.session)).map_err(|reason| {
            let error = ServiceError::new(Code::BadRequest, format!("device_id {reason}"));
            HelloRefusal { error: Some(error), code: GoodbyeCode::BadRequest }
        })?;
        let ticket = if udp { self.services.ticket_for_hello(who) } else { None };
        let ticket = ticket.map(|ticket| (ticket, self.services.udp_address().clone()));
        let (session_ref, outbox) = (self.session_ref(who), self.outbox.clone());
        Ok(SessionRegistration { session_ref, outbox, echo, device, status, ticket, request_id })
    }

    /// Waits for the slots of the session and for its registration in the cache. `Welcome` is then
    /// in the outbox.
    pub(super) async fn open(
        self,
        registration: SessionRegistration,
        admission: Arc<Admission>,
    ) -> Result<SessionSlot, HelloRefusal> {
        let user = registration.session_ref.who.user;
        let opened = match admission.welcome(self.transport, user).await {
            Ok(slot) => self.services.cache.open_session(registration).await.map(|()| slot),
            Err(_) => return Err(refusal(ServiceError::later(Code::Overloaded, "too many sessions", 1_000))),
        };
        opened.map_err(|error| refusal(error.into()))
    }
}

fn refusal(error: ServiceError) -> HelloRefusal {
    let code = if error.code == Code::Unauthenticated {
        GoodbyeCode::Unauthenticated
    } else {
        GoodbyeCode::Overloaded
    };
    HelloRefusal { error: Some(error), code }
}
