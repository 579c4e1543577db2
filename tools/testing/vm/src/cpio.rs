// SPDX-License-Identifier: GPL-2.0

//! Initial RAM file systems: archives in the format "newc" of cpio, which the kernel unpacks.

use std::collections::BTreeSet;

const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;

/// An archive in the making. Directories come into being with what is put into them.
#[derive(Default)]
pub struct Archive {
    data: Vec<u8>,
    entries: u32,
    directories: BTreeSet<String>,
}

impl Archive {
    /// Adds a file at `path` (absolute).
    pub fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.parents(path);
        self.entry(path, S_IFREG | mode, content);
    }

    /// Adds a symbolic link at `path` (absolute).
    pub fn link(&mut self, path: &str, target: &str) {
        self.parents(path);
        self.entry(path, S_IFLNK | 0o777, target.as_bytes());
    }

    /// Adds an empty directory at `path` (absolute).
    pub fn directory(&mut self, path: &str) {
        self.parents(path);
        if self.directories.insert(path.to_owned()) {
            self.entry(path, S_IFDIR | 0o755, &[]);
        }
    }

    /// The finished archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("/TRAILER!!!", 0, &[]);
        self.data
    }

    fn parents(&mut self, path: &str) {
        for (end, _) in path.match_indices('/').skip(1) {
            let parent = &path[..end];
            if self.directories.insert(parent.to_owned()) {
                self.entry(parent, S_IFDIR | 0o755, &[]);
            }
        }
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) {
        let name = path.trim_start_matches('/');
        self.entries += 1;
        let fields = [
            self.entries,            // inode
            mode,                    //
            0,                       // user
            0,                       // group
            1,                       // links
            0,                       // time
            content.len() as u32,    //
            0,                       // device, major
            0,                       // device, minor
            0,                       // node, major
            0,                       // node, minor
            (name.len() + 1) as u32, //
            0,                       // check sum: none in this format
        ];
        self.data.extend_from_slice(b"070701");
        for field in fields {
            self.data
                .extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.data.extend_from_slice(name.as_bytes());
        self.data.push(0);
        self.pad();
        self.data.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.data.resize(self.data.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn cpio_lists_what_was_put_in() {
        let mut archive = Archive::default();
        archive.file("/a/b/file", 0o755, b"content");
        archive.file("/a/b/odd", 0o644, b"12345");
        archive.link("/a/link", "b/file");
        archive.directory("/proc");
        let data = archive.finish();

        let mut cpio = Command::new("cpio")
            .args(["--list", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cpio is installed");
        let mut input = cpio.stdin.take().expect("its input is a pipe");
        input.write_all(&data).expect("cpio reads it all");
        drop(input);
        let output = cpio.wait_with_output().expect("cpio ends");
        assert!(output.status.success());
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "a\na/b\na/b/file\na/b/odd\na/link\nproc\n"
        );
    }
}
