//! Files that the program writes: they keep their rights, and no link leads it astray.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use tempfile::TempDir;

use crate::program::run;

/// What each way of writing a file asks for.
const WAYS: [&[&str]; 3] = [
    &["replay", "testdata/recordings/orders-12.jsonl", "--report"],
    &["replay", "testdata/recordings/orders-12.jsonl", "--metrics-textfile"],
    &["report", "testdata/recordings/orders-12.jsonl"],
];

#[test]
fn what_is_written_keeps_its_rights() {
    let folder = TempDir::new().expect("a folder for temporary files");
    for (number, way) in WAYS.into_iter().enumerate() {
        let file = folder.path().join(format!("written-{number}.html"));
        let args = [way, &[file.to_str().expect("a path of ours")]].concat();
        for rights in [0o600, 0o640] {
            fs::write(&file, "old").expect("a file in a folder of ours");
            fs::set_permissions(&file, Permissions::from_mode(rights)).expect("a file of ours");
            let done = run(&args, &[]);
            assert_eq!(done.code, Some(0), "{args:?}: {done}");
            let there = fs::metadata(&file).expect("a file");
            assert_eq!(there.permissions().mode() & 0o777, rights, "{args:?}");
            assert!(there.len() > 3, "{args:?} wrote it");
        }
    }
}

#[test]
fn no_link_in_a_shared_folder_is_followed() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let (shared, victim) = (folder.path().join("shared"), folder.path().join("victim"));
    fs::create_dir(&shared).expect("a folder of ours");
    fs::set_permissions(&shared, Permissions::from_mode(0o1777)).expect("a folder of ours");
    fs::write(&victim, "mine").expect("a file in a folder of ours");
    let link = shared.join("link.html");
    symlink(&victim, &link).expect("a folder of ours");
    for way in WAYS {
        let args = [way, &[link.to_str().expect("a path of ours")]].concat();
        let done = run(&args, &[]);
        assert!(done.stderr.contains("is not followed"), "{args:?}: {done}");
        assert_eq!(fs::read_to_string(&victim).expect("a file"), "mine", "{args:?}");
    }
}
