//! Whom managers run as, in numbers: whoever starts the supervisor has looked them up.

use evercrew_sys::spawn::Credentials;

/// `UID:GID:GROUP,GROUP…:UMASK`, each empty where it is the supervisor's own. It stays in the environment of the supervisor
/// alone, for whatever it becomes.
pub const VARIABLE: &str = "EVERCREW_MANAGER_IDENTITY";

/// What `of_manager` reads.
pub fn variable(credentials: Option<(u32, u32, &[u32])>, umask: Option<u32>) -> String {
    let (uid, gid, groups) = credentials.map_or_else(Default::default, |(uid, gid, groups)| {
        let groups: Vec<String> = groups.iter().map(u32::to_string).collect();
        (uid.to_string(), gid.to_string(), groups.join(","))
    });
    format!("{uid}:{gid}:{groups}:{}", umask.map(|umask| umask.to_string()).unwrap_or_default())
}

/// Its credentials, where they are not the supervisor's own, and its umask.
pub(crate) fn of_manager() -> (Option<Credentials>, Option<u32>) {
    parse(&std::env::var(VARIABLE).unwrap_or_default())
}

fn parse(text: &str) -> (Option<Credentials>, Option<u32>) {
    let mut parts = text.split(':');
    let mut number = || parts.next().and_then(|part| part.parse().ok());
    let (uid, gid) = (number(), number());
    let groups = parts.next().unwrap_or_default().split(',').filter_map(|group| group.parse().ok()).collect();
    let umask = parts.next().and_then(|part| part.parse().ok());
    (uid.zip(gid).map(|(uid, gid)| Credentials { uid, gid, groups }), umask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let read = parse(&variable(Some((1000, 100, &[100, 27])), Some(0o027)));
        assert_eq!(read, (Some(Credentials { uid: 1000, gid: 100, groups: vec![100, 27] }), Some(0o027)));
        assert_eq!(parse(&variable(None, Some(0o077))), (None, Some(0o077)));
        assert_eq!(parse(&variable(Some((0, 0, &[])), None)).0.map(|own| own.groups), Some(Vec::new()));
        assert_eq!(parse(""), (None, None));
    }
}
