//! The files in `packaging/`, as far as they can be tried here.

use std::path::Path;

use crate::harness::Process;

/// A key of 0600 that belongs to root could not be read by the DynamicUser of the unit. The drop-in has systemd hand it over;
/// here a folder stands for `%d`, where systemd puts the copies.
#[actix_web::test]
async fn tls_drop_in_sets_what_the_server_reads() {
    let credentials = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(credentials.path().join("certificate.pem"), made.cert.pem()).unwrap();
    std::fs::write(credentials.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let drop_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/netbit-tls.conf");
    let drop_in = std::fs::read_to_string(drop_in).unwrap();
    let of = |key: &str| -> Vec<String> {
        drop_in.lines().filter_map(|line| line.strip_prefix(key)).map(str::to_owned).collect()
    };
    for copy in of("LoadCredential=") {
        let (name, _) = copy.split_once(":/").unwrap();
        assert!(credentials.path().join(name).exists(), "{name}");
    }
    let folder = credentials.path().to_str().unwrap();
    let variables: Vec<_> = of("Environment=").iter().map(|line| line.replace("%d", folder)).collect();
    let variables: Vec<_> = variables.iter().map(|line| line.split_once('=').unwrap()).collect();
    assert_eq!(variables.len(), 4);
    let data = tempfile::tempdir().unwrap();
    let log = data.path().join("log");
    let server = Process::logging(data.path(), &variables, &log).await;
    assert!(server.greeting.contains("--server https://git.example.org "), "{}", server.greeting);
    assert!(!std::fs::read_to_string(&log).unwrap().contains("is no setting"), "every variable is one");
    drop(server);
    std::fs::remove_file(credentials.path().join("key.pem")).unwrap();
    let mut command = crate::harness::command(data.path());
    command.envs(variables).stderr(std::process::Stdio::null());
    assert!(Process::spawn(command).await.is_err(), "the key is read from there");
}
