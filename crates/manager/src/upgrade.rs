//! `upgrade`: another binary is asked to take this manager's place.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use evercrew_core::handover::PROVING;
use evercrew_wire::control::{Reply, ReplyStatus, Request};
use evercrew_wire::supervisor::ToSupervisor;
use serde_json::{Value, json};

use crate::clients::{ClientId, failure};
use crate::commands::Refusal;
use crate::manager::Manager;
use crate::notices::Level;
use crate::waiting::{Goal, Waiting};

/// What the kernel adds to the path of a file that was removed or replaced.
const DELETED: &[u8] = b" (deleted)";

impl Manager {
    /// `upgrade`: answered by the manager that takes over, or by this one when nothing comes of it.
    pub(crate) fn upgrade_command(&mut self, client: ClientId, request: &Request) -> Result<Option<Reply>, Refusal> {
        let to = request.args.get("to").and_then(Value::as_str).map(PathBuf::from);
        let patience = request.deadline_ms.map_or(PROVING, Duration::from_millis);
        let path = self.begin_upgrade(to, patience)?;
        let text = format!("{} is tried", path.display());
        let reply = Reply::new(&request.id, ReplyStatus::Processing, text).with_content(json!({"binary": path}));
        self.clients.reply(client, &reply);
        // Who is late is told by the supervisor.
        self.waitings.add(client, Waiting { request: request.id.clone(), goal: Goal::Upgraded(None), deadline: None });
        Ok(None)
    }

    /// The same by a signal: nobody waits.
    pub(crate) fn upgrade_by_signal(&mut self) {
        if let Err((_, message, hint)) = self.begin_upgrade(None, PROVING) {
            self.tell_upgrade_failed(&message, &hint);
        }
    }

    fn begin_upgrade(&mut self, to: Option<PathBuf>, patience: Duration) -> Result<PathBuf, Refusal> {
        if self.upgrading {
            let hint = "wait for it: `evercrew events -f` tells what becomes of it".to_owned();
            return Err((75, "an upgrade is under way".to_owned(), hint));
        }
        if self.reloads.is_busy() {
            return Err((75, "a reload is under way".to_owned(), "wait for it, and ask again".to_owned()));
        }
        if self.fleet.stopping() {
            return Err((1, "the engine is being stopped".to_owned(), "start it again with `evercrew up`".to_owned()));
        }
        if to.as_ref().is_some_and(|to| to.is_relative()) {
            let hint = "name it from the root: `/opt/app/bin/evercrew`".to_owned();
            return Err((2, "`to` of `upgrade` is an absolute path".to_owned(), hint));
        }
        let path = to
            .map_or_else(own_path, Ok)
            .map_err(|error| (1, format!("cannot tell where the binary is: {error}"), String::new()))?;
        let binary = open(&path).map_err(|error| {
            let hint = "name the new binary with --to, or put it where the present one was".to_owned();
            (1, format!("cannot use {}: {error}", path.display()), hint)
        })?;
        let patience_ms = patience.as_millis().try_into().unwrap_or(u64::MAX);
        self.send(&ToSupervisor::Upgrade { patience_ms }, vec![Arc::new(binary)]);
        self.upgrading = true;
        let fields = json!({"binary": path.display().to_string()});
        self.tell(Level::Info, "engine.upgrade-started", fields, &format!("upgrade: {} is tried", path.display()));
        Ok(path)
    }

    /// Nothing comes of the next manager.
    pub(crate) fn upgrade_failed(&mut self, reason: &str, words: &str) {
        self.upgrading = false;
        self.leaving = None;
        let (text, content) = self.tell_upgrade_failed(reason, words);
        for (client, request) in self.waitings.take_upgrade() {
            let reply = failure(&request, 1, text.clone(), "the present manager goes on");
            self.clients.reply(client, &reply.with_content(content.clone()));
        }
    }

    /// Says so to everybody; gives the words and the fields.
    fn tell_upgrade_failed(&mut self, reason: &str, words: &str) -> (String, Value) {
        let said = if words.is_empty() { String::new() } else { format!("\n{words}") };
        let text = format!("the upgrade failed, nothing was changed: {reason}{said}");
        let fields = json!({"reason": reason, "words": words});
        self.tell(Level::Error, "engine.upgrade-failed", fields.clone(), &text);
        (text, fields)
    }

    /// The manager of another binary did not live: this one is of that before it.
    pub(crate) fn upgrade_returned(&mut self, reason: &str) {
        let text = format!("the manager after the upgrade ended ({reason}); this one is of the binary before it");
        self.tell(Level::Error, "engine.upgrade-returned", json!({"reason": reason}), &text);
    }
}

/// The file that is now where this binary was.
fn own_path() -> io::Result<PathBuf> {
    let path = std::fs::read_link("/proc/self/exe")?;
    let bytes = path.as_os_str().as_bytes();
    let bytes = bytes.strip_suffix(DELETED).unwrap_or(bytes);
    Ok(PathBuf::from(std::ffi::OsString::from_vec(bytes.to_vec())))
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    // A pipe of that name would wait for its other end.
    let file = File::options().read(true).custom_flags(evercrew_sys::descriptor::NONBLOCKING).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    if metadata.mode() & 0o111 == 0 {
        return Err(io::Error::other("it is not executable"));
    }
    Ok(file.into())
}
