//! Who may use the control socket, and for what.

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::{fmt, fs, io};

use evercrew_sys::peer::Peer;
use evercrew_sys::user;

use serde_json::json;

use crate::manager::Manager;
use crate::notices::Level;
use crate::verbs::Right;

/// What somebody is to the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// May look.
    Viewer,
    /// May change what runs.
    Operator,
    /// May do everything.
    Admin,
}

impl Role {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    pub(crate) const fn may(self, right: Right) -> bool {
        match (self, right) {
            (Self::Admin, _) | (_, Right::Look) | (Self::Operator, Right::Change) => true,
            (Self::Viewer | Self::Operator, Right::Change | Right::Administer) => false,
        }
    }
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) uid: Option<u32>,
    pub(crate) pid: u32,
    /// `None` may do nothing.
    pub(crate) role: Option<Role>,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.uid {
            Some(uid) => write!(f, "uid {uid} (pid {})", self.pid),
            None => f.write_str("somebody"),
        }
    }
}

/// Users by what they are; root and the engine's own user are admins in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Access {
    /// The group whose members reach the socket.
    pub(crate) group: Option<u32>,
    admins: BTreeSet<u32>,
    viewers: BTreeSet<u32>,
}

impl Access {
    /// As it is configured; and what this machine does not know of it.
    pub(crate) fn of(control: &evercrew_config::Control) -> (Self, Vec<String>) {
        let mut remarks = Vec::new();
        let mut found = |what: &str, name: &String, number: Result<Option<u32>, std::io::Error>| match number {
            Ok(Some(number)) => Some(number),
            Ok(None) => {
                remarks.push(format!("[control]: this machine has no {what} `{name}`"));
                None
            }
            Err(error) => {
                remarks.push(format!("[control]: cannot read the {what}s of this machine: {error}"));
                None
            }
        };
        let group = control.group.as_ref().and_then(|name| found("group", name, user::find_group(name)));
        let mut users = |names: &[String]| {
            let number = |name: &String| found("user", name, user::find(name).map(|user| user.map(|user| user.uid)));
            names.iter().filter_map(number).collect()
        };
        let access = Self { group, admins: users(&control.admins), viewers: users(&control.viewers) };
        (access, remarks)
    }

    /// What the peer is; `None` is nobody.
    pub(crate) fn role(&self, peer: &Peer) -> Option<Role> {
        let own = user::current().0;
        if peer.uid == 0 || peer.uid == own {
            return Some(Role::Admin);
        }
        // Nobody else reaches the socket but by its group.
        self.group?;
        Some(match (self.admins.contains(&peer.uid), self.viewers.contains(&peer.uid)) {
            (true, _) => Role::Admin,
            (false, true) => Role::Viewer,
            (false, false) => Role::Operator,
        })
    }
}

impl Manager {
    /// Opens the control socket to whom the configuration names, or to nobody else.
    pub(crate) fn open_to_others(&mut self) {
        let (access, remarks) = Access::of(&self.crew.settings().control);
        for remark in remarks {
            self.tell(Level::Error, "engine.problem", json!({"message": remark}), &remark);
        }
        let directory = self.engine.directory.clone();
        let opened = open(&directory, access.group, self.clients.access.group);
        self.clients.access = access;
        if let Err(error) = opened {
            let words = format!("[control] group: cannot change {}: {error}", directory.display());
            self.tell(Level::Error, "engine.problem", json!({"message": words}), &words);
        }
    }
}

/// The group reaches the socket through the directory; without one both are as they are made. Where others pass through
/// the directory already, they go on doing so.
fn open(directory: &Path, group: Option<u32>, before: Option<u32>) -> io::Result<()> {
    if group.is_none() && before.is_none() {
        return Ok(());
    }
    let socket = directory.join("control.sock");
    let others = fs::metadata(directory)?.permissions().mode() & 0o007;
    // What is narrower first: nobody may pass who is not meant.
    let (of_directory, of_socket) = if group.is_some() { (0o710, 0o660) } else { (0o700, 0o600) };
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o600))?;
    let group = group.or(Some(user::current().1));
    chown(&socket, None, group)?;
    chown(directory, None, group)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(of_directory | others))?;
    fs::set_permissions(&socket, fs::Permissions::from_mode(of_socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(uid: u32) -> Peer {
        Peer { pid: 1, uid, gid: uid }
    }

    #[test]
    fn roles_are_by_user_where_a_group_lets_them_in() {
        let own = user::current().0;
        let mut access = Access { group: Some(7), admins: BTreeSet::from([1001]), viewers: BTreeSet::from([1002]) };
        let roles = [0, own, 1001, 1002, 1003].map(|uid| access.role(&peer(uid)));
        let [admin, viewer, operator] = [Role::Admin, Role::Viewer, Role::Operator].map(Some);
        assert_eq!(roles, [admin, admin, admin, viewer, operator]);
        access.group = None;
        assert_eq!([0, 1001, 1002, 1003].map(|uid| access.role(&peer(uid))), [admin, None, None, None]);
    }

    #[test]
    fn each_role_may_what_those_below_may() {
        let may = |role: Role| [Right::Look, Right::Change, Right::Administer].map(|right| role.may(right));
        assert_eq!(may(Role::Viewer), [true, false, false]);
        assert_eq!(may(Role::Operator), [true, true, false]);
        assert_eq!(may(Role::Admin), [true, true, true]);
    }

    #[test]
    fn who_is_not_of_this_machine_is_named() {
        let control = evercrew_config::Control {
            group: Some("root".to_owned()),
            admins: vec!["root".to_owned(), "nobody-has-this-name".to_owned()],
            viewers: Vec::new(),
        };
        let (access, remarks) = Access::of(&control);
        assert_eq!((access.group, access.admins.len()), (Some(0), 1));
        assert_eq!(remarks, ["[control]: this machine has no user `nobody-has-this-name`"]);
    }
}
