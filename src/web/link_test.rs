//! Tests of the linker of the scripts.

use super::link::link;

fn linked(modules: &[(&str, &str)]) -> Result<String, String> {
    let owned = modules.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
    link(&owned.collect(), "p").map(|mut files| files.remove(0).1)
}

#[test]
fn modules_are_joined_after_their_imports() {
    let main = "import { a } from './a.js';\nimport { b } from './b.js';\na(b);\n";
    let one = "import { b } from './b.js';\nexport function a() {\n  return b;\n}\n";
    let two = "export const b = (1);\n";
    let script = linked(&[("p/main.js", main), ("p/a.js", one), ("p/b.js", two)]).unwrap();
    let expected = "const b = (1);\nfunction a() {\n  return b;\n}\na(b);\n";
    assert_eq!(script, expected);
}

#[test]
fn modules_of_other_folders_are_joined() {
    let main = "import { a } from '../kit/a.js';\nimport { b, $c } from './parts/b.js';\na(b, $c);\n";
    let kit = "import { d } from './d.js';\nexport const a = d;\n";
    let part = "import { d } from '../../kit/d.js';\n";
    let modules = [
        ("p/main.js", main),
        ("kit/a.js", kit),
        ("kit/d.js", "export const d = 1;\n"),
        ("p/parts/b.js", "export const b = 2;\nexport const $c = 3;\n"),
    ];
    let script = linked(&modules).unwrap();
    assert_eq!(script, "const d = 1;\nconst a = d;\nconst b = 2;\nconst $c = 3;\na(b, $c);\n");
    let mut deeper = modules;
    deeper[3].1 = part;
    assert!(linked(&deeper).unwrap_err().contains("cannot link"), "one folder up is enough");
}

#[test]
fn each_entry_has_its_own_script() {
    let entry = |text: &str| format!("import {{ a }} from '../kit/a.js';\n{text}");
    let modules = [("p/main.js", entry("a(1);")), ("q/main.js", entry("const p = a(2);"))];
    let mut modules: super::link::Modules =
        modules.into_iter().map(|(path, text)| (path.to_owned(), text)).collect();
    modules.insert("kit/a.js".to_owned(), "export const a = Number;".to_owned());
    assert_eq!(link(&modules, "p").unwrap()[0].1, "const a = Number;\na(1);\n");
    assert_eq!(link(&modules, "q").unwrap()[0].1, "const a = Number;\nconst p = a(2);\n");
}

#[test]
fn later_file_imports_what_it_shares_with_the_first() {
    let modules = [
        ("p/main.js", "import { a } from './a.js';\nconst later = () => import('./more.js');\na(later);\n"),
        ("p/a.js", "export const a = 1;\nexport const unused = 2;\n"),
        ("p/more.js", "import { b } from './b.js';\nexport const open = b;\n"),
        ("p/b.js", "import { a } from './a.js';\nexport const b = a;\n"),
    ];
    let owned = modules.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
    let files = link(&owned.collect(), "p").unwrap();
    let first = "const a = 1;\nconst unused = 2;\nconst later = () => import('./more.js');\na(later);\nexport { a };\n";
    let second = "import { a } from './main.js';\nconst b = a;\nconst open = b;\nexport { open };\n";
    let expected = [("p/main.js", first), ("p/more.js", second)];
    assert_eq!(files, expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
    let mut clash = modules;
    clash[3].1 = "export const b = 1;\nconst unused = 3;\n";
    let owned = clash.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
    assert!(link(&owned.collect(), "p").unwrap_err().contains("both declare unused"));
}

#[test]
fn forms_that_cannot_be_joined_are_refused() {
    for (text, why) in [
        ("import a from './a.js';", "cannot link"),
        ("import { a as b } from './a.js';", "cannot link"),
        ("import * as a from './a.js';", "cannot link"),
        ("import './a.js';", "cannot link"),
        ("import { a } from \"./a.js\";", "cannot link"),
        ("import { a } from 'a.js';", "cannot link"),
        ("import { a } from '/p/a.js';", "cannot link"),
        ("import { a } from 'https://example.org/a.js';", "cannot link"),
        ("import { a } from '../../p/a.js';", "cannot link"),
        ("import { a } from '.././p/a.js';", "cannot link"),
        ("import { a } from '../p/../p/a.js';", "cannot link"),
        ("import { a } from '..//p/a.js';", "cannot link"),
        ("import { a } from './a.json';", "cannot link"),
        ("import { a,\n} from './a.js';", "cannot link"),
        ("import { a } from './none.js';", "does not exist"),
        ("import { a } from '../q/a.js';", "does not exist"),
        ("import { b } from './a.js';", "does not export b"),
        ("import { hidden } from './a.js';", "does not export hidden"),
        ("import {  } from './a.js';", "does not export"),
        ("import { a } from './main.js';", "imports itself"),
        ("import { c } from '../kit/c.js';\nexport const x = c;", "imports itself"),
        ("export default 1;", "cannot link"),
        ("export { a };", "cannot link"),
        ("export * from './a.js';", "cannot link"),
        ("const x = await import('./a.js');", "cannot link"),
        ("/** @type {T} */ (x); import('./a.js');", "cannot link"),
        ("import('./a.js'); /** @type {import('./a.js').T} */", "cannot link"),
        ("const x = await fetch('/');", "cannot link"),
        ("await fetch('/');", "cannot link"),
        ("const { x } = y;", "is not plain"),
        ("import { a } from './a.js';\nconst a = 2;", "both declare a"),
        ("import { a } from './a.js';\nconst hidden = 2;", "both declare hidden"),
    ] {
        let cycle = "import { x } from '../p/main.js';\nexport const c = x;";
        let other = "export const a = 1;\nconst hidden = 1;";
        let refused = linked(&[("p/main.js", text), ("p/a.js", other), ("kit/c.js", cycle)]).unwrap_err();
        assert!(refused.contains(why), "{text}: {refused}");
    }
}
