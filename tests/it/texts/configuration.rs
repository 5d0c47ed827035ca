//! Mistakes in the configuration, as `netbit config` prints them.

use super::{assert_text, netbit, transcript};

#[actix_web::test]
async fn configuration_mistakes_name_key_source_and_allowed_values() {
    let files = [
        "[limits]\nreadrs = 3\npage_max = \"many\"\n[cache]\nwindow = 0\n",
        "[http]\nlissten = \"x\"\nlisten = 5\n",
        "[http]\nlisten = \"everywhere\"\npublic_url = \"example\"\nallowed_origins = [\"*\"]\n",
        "[http]\ntrusted_proxies = [\"nginx\"]\n",
        "[limts]\nreaders = 3\n",
        "colour = \"blue\"\nhttp = 3\n",
        "[http\n",
        "[accounts]\nregistration = \"maybe\"\n[storage]\nsynchronous = \"sometimes\"\n",
        "[log]\nlevel = \"x=y=z\"\nformat = \"xml\"\n",
        "[limits]\nrates = 1\npage_max = -1\nreaders = 99999\nbody_bytes = 1.5\n",
        "[tls]\nkey = \"key.pem\"\n[auth]\nsecret = \"short\"\n",
    ];
    let directory = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for file in files {
        std::fs::write(directory.path().join("netbit.toml"), file).unwrap();
        let output = netbit(directory.path(), &["config"], &[]).await;
        assert_eq!(output.status.code(), Some(78), "{file}");
        text.push_str(&format!("{file}{}\n", transcript(&["config"], &output)));
    }
    assert_text("configuration_mistakes", &text);
}

#[actix_web::test]
async fn flags_and_variables_are_named_as_sources_of_mistakes() {
    let directory = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for (arguments, variables) in [
        (&["config", "--tcp-listen", "8081"][..], &[][..]),
        (&["config", "--config", "missing.toml"], &[]),
        (&["config"], &[("NETBIT_HTTP__LISTEN", "x"), ("NETBIT_LIMITS__READERS", "0")]),
    ] {
        for (name, value) in variables {
            text.push_str(&format!("{name}={value}\n"));
        }
        let output = netbit(directory.path(), arguments, variables).await;
        text.push_str(&format!("{}\n", transcript(arguments, &output)));
    }
    assert_text("configuration_sources", &text);
}

#[actix_web::test]
async fn renamed_key_and_unknown_variable_are_warnings() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("netbit.toml"), "[limits]\nmirror_facts = 7\n").unwrap();
    let variables = [
        ("NETBIT_COLOUR", "blue"),
        ("NETBIT_LIMITS__MIRROR_FACTS", "8"),
        ("NETBIT_CLUSTER__PREVIEW", "false"),
    ];
    let output = netbit(directory.path(), &["config"], &variables).await;
    assert!(output.status.success());
    assert_text("configuration_warnings", &String::from_utf8_lossy(&output.stderr));
}
