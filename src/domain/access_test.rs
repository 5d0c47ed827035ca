//! Tests of the permissions of access tokens.

use std::sync::Arc;

use super::access::*;
use super::ids::{AccessTokenId, RepositoryId, UserId};
use super::permission::project::Act;
use super::project::{ProjectRole, Visibility};
use super::timestamp::Timestamp;

fn token(scopes: &[Scope], repositories: Option<&[i64]>) -> AccessGrant {
    AccessGrant::Token(Arc::new(AccessToken {
        id: AccessTokenId(1),
        user_id: UserId(1),
        name: "t".into(),
        scopes: scopes.to_vec(),
        repositories: repositories.map(|ids| ids.iter().map(|id| RepositoryId(*id)).collect()),
        created_at: Timestamp(0),
        expires_at: None,
        last_used_at: None,
    }))
}

#[test]
fn token_role_is_capped_by_scopes_and_user_role() {
    let (owner, reader) = (Some(ProjectRole::Owner), Some(ProjectRole::Reader));
    let about = Subject::Repository(RepositoryId(7));
    for (scopes, as_owner) in [
        (vec![], None),
        (vec![Scope::ChatWrite], None),
        (vec![Scope::RepoRead], Some(ProjectRole::Reader)),
        (vec![Scope::RepoRead, Scope::RepoWrite], Some(ProjectRole::Maintainer)),
        (vec![Scope::Admin], Some(ProjectRole::Owner)),
    ] {
        let grant = token(&scopes, None);
        assert_eq!(grant.cap(owner, about), as_owner, "{scopes:?}");
        assert_eq!(grant.cap(reader, about), as_owner.and(reader));
        assert_eq!(grant.cap(None, about), None);
    }
}

#[test]
fn token_for_chosen_repositories_has_no_role_elsewhere() {
    let grant = token(&[Scope::Admin], Some(&[7]));
    let owner = Some(ProjectRole::Owner);
    assert_eq!(grant.cap(owner, Subject::Repository(RepositoryId(7))), owner);
    assert_eq!(grant.cap(owner, Subject::Repository(RepositoryId(8))), None);
    assert_eq!(grant.cap(owner, Subject::Project { chosen: true }), Some(ProjectRole::Reader));
    assert_eq!(grant.cap(owner, Subject::Project { chosen: false }), None);
    assert!(grant.check_create_project().is_err());
    assert!(token(&[Scope::RepoWrite], None).check_create_project().is_ok());
}

#[test]
fn refusal_names_what_the_token_or_the_user_lacks() {
    let owner = Some(ProjectRole::Owner);
    let refused =
        |grant: &AccessGrant, act: Act, role: Option<ProjectRole>, visibility: Visibility, id: i64| {
            let subject = Subject::Repository(RepositoryId(id));
            grant
                .check_act(act, (visibility, role), subject, "repository")
                .map_err(|refusal| refusal.to_string())
        };
    let (public, private) = (Visibility::Public, Visibility::Private);
    let read = token(&[Scope::RepoRead], None);
    let of_token = |what: &str| Err(format!("the access token {what}"));
    assert_eq!(refused(&read, Act::Push, owner, private, 7), of_token("lacks the scope repo:write"));
    assert_eq!(refused(&read, Act::Manage, owner, private, 7), of_token("lacks the scope admin"));
    assert_eq!(refused(&read, Act::Read, owner, private, 7), Ok(Some(ProjectRole::Reader)));
    let user = Err("pushing needs the role writer".to_owned());
    assert_eq!(refused(&read, Act::Push, Some(ProjectRole::Reader), private, 7), user);
    assert_eq!(refused(&read, Act::Push, None, public, 7), user);
    let chosen = token(&[Scope::RepoWrite], Some(&[7]));
    assert_eq!(refused(&chosen, Act::Push, owner, public, 8), of_token("is for other repositories"));
    // Repositories that the token is not for are not visible to it.
    let missing = Err("repository not found".to_owned());
    assert_eq!(refused(&chosen, Act::Push, owner, private, 8), missing);
    assert_eq!(refused(&token(&[Scope::ChatRead], None), Act::Push, owner, private, 7), missing);
}

#[test]
fn token_is_live_until_it_expires() {
    let AccessGrant::Token(forever) = token(&Scope::ALL, None) else { panic!("it is a token") };
    assert!(forever.is_live(Timestamp(i64::MAX)));
    let token = AccessToken { expires_at: Some(Timestamp(10)), ..(*forever).clone() };
    assert!(token.is_live(Timestamp(9)) && !token.is_live(Timestamp(10)));
}

#[test]
fn chat_scopes_allow_chats_and_no_scope_allows_the_account() {
    let reads = token(&[Scope::ChatRead], None);
    assert!(reads.check(RequiredScope::ChatRead).is_ok() && reads.check(RequiredScope::ChatWrite).is_err());
    let writes = token(&[Scope::ChatWrite], None);
    assert!(writes.check(RequiredScope::ChatRead).is_ok() && writes.check(RequiredScope::ChatWrite).is_ok());
    let all = token(&Scope::ALL, None);
    assert!(all.check(RequiredScope::Person).is_err());
    assert!(AccessGrant::Whole.check(RequiredScope::Person).is_ok());
}

#[test]
fn need_is_met_only_by_its_own_scopes() {
    for required_scope in RequiredScope::ALL {
        assert_eq!(
            AccessGrant::Whole.check(required_scope),
            Ok(()),
            "a login reaches as far as its user: {required_scope:?}"
        );
        for scope in Scope::ALL {
            let met = match required_scope {
                RequiredScope::Identity => true,
                RequiredScope::ChatRead => matches!(scope, Scope::ChatRead | Scope::ChatWrite),
                RequiredScope::ChatWrite => scope == Scope::ChatWrite,
                RequiredScope::Admin => scope == Scope::Admin,
                RequiredScope::ServerAdmin => scope == Scope::ServerAdmin,
                RequiredScope::Person => false,
            };
            assert_eq!(
                token(&[scope], None).check(required_scope).is_ok(),
                met,
                "{required_scope:?} {scope}"
            );
        }
        let all_others: Vec<_> = Scope::ALL.into_iter().filter(|s| *s != Scope::ServerAdmin).collect();
        let reaches = !matches!(required_scope, RequiredScope::ServerAdmin | RequiredScope::Person);
        assert_eq!(token(&all_others, None).check(required_scope).is_ok(), reaches, "{required_scope:?}");
    }
    assert_eq!(
        token(&[Scope::ServerAdmin], None)
            .cap(Some(ProjectRole::Owner), Subject::Repository(RepositoryId(7))),
        None
    );
}

#[test]
fn server_admin_needs_an_administrator_and_all_repositories() {
    let asked = |scopes: &[Scope], chooses, is_admin| check_scopes(scopes, chooses, is_admin).is_ok();
    assert!(asked(&[Scope::Admin], true, false));
    assert!(asked(&[Scope::ServerAdmin], false, true));
    assert!(!asked(&[Scope::ServerAdmin], false, false));
    assert!(!asked(&[Scope::Admin, Scope::ServerAdmin], true, true));
}
