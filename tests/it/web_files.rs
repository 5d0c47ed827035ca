//! Style sheets and scripts from a folder, for the development of pages.

use std::fs;
use std::os::unix::fs::symlink;

use crate::harness::TestServer;
use crate::harness::browser::Browser;

#[actix_web::test]
async fn files_come_from_the_folder_and_from_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let web = folder.path().join("web");
    let write = |name: &str, text: &str| {
        let path = web.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("css/20-second.css", "b{}");
    write("css/10-first.css", "a{}");
    write("js/page/main.js", "import { a } from '../kit/a.js';");
    write("js/kit/a.js", "export const a = 1;");
    write("js/kit/large.js", &"x".repeat(1024 * 1024 + 1));
    write("js/notes.txt", "text");
    write("images/icon.svg", "<svg/>");
    fs::write(folder.path().join("secret.js"), "outside").unwrap();
    fs::create_dir(web.join("js/folder.js")).unwrap();
    symlink(folder.path().join("secret.js"), web.join("js/out.js")).unwrap();
    symlink(folder.path(), web.join("js/above")).unwrap();
    symlink(web.join("js/kit/a.js"), web.join("js/inside.js")).unwrap();
    let server = TestServer::with(|config| config.web_dir = Some(web.clone())).await;
    let visitor = Browser::anonymous(&server);
    let page = visitor.page("/about").await;
    assert!(
        page.contains("src=\"/assets/dev/page/main.js\"") && page.contains("/assets/dev/app.css"),
        "{page}"
    );
    for (name, text) in [
        ("app.css", "a{}b{}"),
        ("page/main.js", "import { a } from '../kit/a.js';"),
        ("kit/a.js", "export const a = 1;"),
        ("inside.js", "export const a = 1;"),
        ("icon.svg", "<svg/>"),
    ] {
        let file = visitor.get(&format!("/assets/dev/{name}")).await;
        assert_eq!((file.status, file.html.as_str()), (200, text), "{name}");
        assert_eq!(file.header("cache-control"), "no-store", "{name}");
    }
    write("js/kit/a.js", "export const a = 2;");
    assert_eq!(visitor.page("/assets/dev/kit/a.js").await, "export const a = 2;", "no start is needed");
    for name in [
        "kit/large.js",
        "kit/none.js",
        "notes.txt",
        "folder.js",
        "out.js",
        "above/secret.js",
        "%2e%2e/%2e%2e/secret.js",
        "..%2f..%2fsecret.js",
        "%2Fetc%2Fpasswd.js",
        "kit/a.js%00",
        "",
    ] {
        let file = visitor.get(&format!("/assets/dev/{name}")).await;
        assert_eq!(file.status, 404, "{name}: {}", file.html);
        assert!(!file.html.contains("outside"), "{name}");
    }
    server.stop().await;
    let server = TestServer::start().await;
    let visitor = Browser::anonymous(&server);
    assert_eq!(visitor.get("/assets/dev/app.css").await.status, 404, "the folder is not configured");
    server.stop().await;
}
