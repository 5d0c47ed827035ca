//! A client that behaves as a browser does: it keeps cookies, names itself as the origin of its
//! forms, and shows redirects instead of following them.

use std::cell::RefCell;
use std::collections::BTreeMap;

use reqwest::header::{self, HeaderMap};
use reqwest::redirect::Policy;

use super::{PASSWORD, TestServer, soon};

/// See the [module](self).
pub(crate) struct Browser {
    base: String,
    inner: reqwest::Client,
    cookies: RefCell<BTreeMap<String, String>>,
}

/// The response to a browser.
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) html: String,
}

impl Browser {
    /// Returns a browser without cookies.
    pub(crate) fn anonymous(server: &TestServer) -> Self {
        let inner = reqwest::Client::builder().redirect(Policy::none()).no_proxy().build().unwrap();
        let base = format!("http://{}", server.app.addresses.http);
        Self { base, inner, cookies: RefCell::default() }
    }

    /// Registers the administrator with the setup code, in the form of the setup page.
    pub(crate) async fn set_up(server: &TestServer, name: &str) -> Self {
        let browser = Self::anonymous(server);
        let code = server.setup_code();
        let form = [("username", name), ("password", PASSWORD), ("code", &code)];
        browser.post_form("/setup", &form).await.expect_redirect("/projects/new");
        browser
    }

    /// Registers a user in the form of the registration page.
    pub(crate) async fn register(server: &TestServer, name: &str) -> Self {
        let browser = Self::anonymous(server);
        let form = [("username", name), ("password", PASSWORD)];
        browser.post_form("/register", &form).await.expect_redirect("/");
        browser
    }

    /// Logs in a user who exists.
    pub(crate) async fn login(server: &TestServer, name: &str) -> Self {
        let browser = Self::anonymous(server);
        let form = [("username", name), ("password", PASSWORD), ("next", "/")];
        browser.post_form("/login", &form).await.expect_redirect("/");
        browser
    }

    /// Returns the `Cookie` header, for requests that a test sends by other means.
    pub(crate) fn cookie(&self) -> String {
        let cookies = self.cookies.borrow();
        cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    pub(crate) async fn get(&self, path: &str) -> Page {
        self.send(self.inner.get(format!("{}{path}", self.base))).await
    }

    /// Loads a page that must exist.
    pub(crate) async fn page(&self, path: &str) -> String {
        let page = self.get(path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text());
        page.html
    }

    /// Sends a form of a page of this server.
    pub(crate) async fn post_form(&self, path: &str, pairs: &[(&str, &str)]) -> Page {
        let pairs: Vec<_> =
            pairs.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        let request = self.inner.post(format!("{}{path}", self.base)).body(pairs.join("&"));
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request.header("sec-fetch-site", "same-origin").header(header::ORIGIN, &self.base)).await
    }

    /// Sends a form with a file.
    pub(crate) async fn post_file(&self, path: &str, field: &str, bytes: &[u8]) -> Page {
        let head = format!(
            "--XyZ\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"a.png\"\r\n\
             Content-Type: image/png\r\n\r\n"
        );
        let body = [head.as_bytes(), bytes, b"\r\n--XyZ--\r\n"].concat();
        let request = self.inner.post(format!("{}{path}", self.base)).body(body);
        let request = request.header(header::CONTENT_TYPE, "multipart/form-data; boundary=XyZ");
        self.send(request.header("sec-fetch-site", "same-origin").header(header::ORIGIN, &self.base)).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Page {
        let request = request.header(header::ACCEPT, "text/html").header(header::COOKIE, self.cookie());
        let response = soon(request.send()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        for cookie in headers.get_all(header::SET_COOKIE) {
            self.keep(cookie.to_str().unwrap());
        }
        Page { status, headers, html: soon(response.text()).await.unwrap() }
    }

    fn keep(&self, set: &str) {
        let (pair, attributes) = set.split_once(';').unwrap_or((set, ""));
        let (name, value) = pair.split_once('=').unwrap();
        let mut cookies = self.cookies.borrow_mut();
        if attributes.to_ascii_lowercase().contains("max-age=0") {
            cookies.remove(name);
        } else {
            cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

impl Page {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts a redirect after a form, or of a page that leads to another.
    #[track_caller]
    pub(crate) fn expect_redirect(&self, to: &str) {
        assert_eq!((self.status, self.header("location")), (303, to), "{}", self.text());
    }

    /// Asserts a page with this status that contains `text`.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16, text: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        assert!(self.text().contains(text), "{text:?} is not in {}", self.text());
    }

    /// Returns the text of the page as a user reads it: without markup, with single spaces.
    pub(crate) fn text(&self) -> String {
        text_of(&self.html)
    }
}

/// Returns the text of HTML without markup, with single spaces.
pub(crate) fn text_of(html: &str) -> String {
    let outside = html.split('<').enumerate().map(|(at, piece)| match (at, piece.split_once('>')) {
        (0, _) | (_, None) => piece,
        (_, Some((_, text))) => text,
    });
    let text = outside.collect::<Vec<_>>().join(" ");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let named = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#34;", "\""), ("&#39;", "'")];
    let text = named.iter().fold(text, |text, (entity, plain)| text.replace(entity, plain));
    text.replace("&#60;", "<").replace("&#62;", ">").replace("&#38;", "&").replace("&amp;", "&")
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}
