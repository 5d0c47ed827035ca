//! Tests the files in `packaging/`, as far as possible without installing them.

use std::path::Path;

use crate::harness::Process;

/// Regression: the DynamicUser of the unit could not read a key of mode 0600 that belongs to root.
/// With the drop-in, systemd passes the key. In this test a folder replaces `%d`, where systemd
/// puts the copies.
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
    assert!(!std::fs::read_to_string(&log).unwrap().contains("is not a setting"), "every variable is one");
    server.stop().await;
    std::fs::remove_file(credentials.path().join("key.pem")).unwrap();
    let mut command = crate::harness::command(data.path());
    command.envs(variables).stderr(std::process::Stdio::null());
    assert!(Process::spawn(command).await.is_err(), "the key is read from there");
}

/// Regression: the package had no shell completions and no manual page. The program generates both.
#[test]
fn completions_and_man_pages_are_those_of_the_commands() {
    let netbit = |arguments: &[&str]| {
        let output =
            std::process::Command::new(env!("CARGO_BIN_EXE_netbit")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = netbit(&["completions", shell]);
        assert!(script.contains("--data-dir") || script.contains("data-dir"), "{shell}");
        assert!(script.contains("retention") && script.contains("login"), "{shell}");
        std::fs::write(folder.path().join(shell), script).unwrap();
    }
    let checked =
        std::process::Command::new("bash").arg("-n").arg(folder.path().join("bash")).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert!(netbit(&["man"]).contains(".TH netbit 1"));
    let pages = folder.path().join("man");
    netbit(&["man", "--out", pages.to_str().unwrap()]);
    for page in ["netbit.1", "netbit-user.1", "netbit-user-add.1", "netbit-chat-list.1", "netbit-login.1"] {
        assert!(std::fs::read_to_string(pages.join(page)).unwrap().contains(".SH NAME"), "{page}");
    }
}

/// Every file of the package is in the repository or created by `packaging/deb.sh`.
#[test]
fn package_for_debian_names_files_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest: toml::Table = std::fs::read_to_string(root.join("Cargo.toml")).unwrap().parse().unwrap();
    let deb = &manifest["package"]["metadata"]["deb"];
    let script = std::fs::read_to_string(root.join("packaging/deb.sh")).unwrap();
    for asset in deb["assets"].as_array().unwrap() {
        let source = asset[0].as_str().unwrap();
        let (folder, name) = source.rsplit_once('/').unwrap_or((".", source));
        if let Some(made) = folder.strip_prefix("target/packaging") {
            let stem =
                if made.is_empty() { name.split('.').next().unwrap() } else { made.trim_start_matches('/') };
            assert!(script.contains(&format!("$made/{stem}")), "{source}");
        } else if folder != "target/release" {
            let (begin, end) = name.split_once('*').unwrap_or((name, ""));
            let mut files = std::fs::read_dir(root.join(folder)).unwrap().map(Result::unwrap);
            let fits = |file: &str| file.starts_with(begin) && file.ends_with(end);
            assert!(files.any(|file| fits(file.file_name().to_str().unwrap())), "{source}");
        }
    }
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        assert!(root.join(licence).exists(), "{licence}");
    }
}
