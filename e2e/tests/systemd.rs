//! The generated unit below a real systemd: one of a user's, in a mount namespace of its own.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use evercrew_e2e::Engine;

use crate::EVERCREW;

const SYSTEMD: &str = "/lib/systemd/systemd";
const CONFIGURATION: &str = "[listen.web]\naddress = \"127.0.0.1:0\"\n[listen.given]\naddress = \"127.0.0.1:9\"\n\
                             [service.web]\nbuiltin = \"hello\"\nlisten = [\"web\", \"given\"]\nworkers = 2\n";
const SOCKET: &str = "[Socket]\nListenStream=%t/given.sock\nFileDescriptorName=given\nService=ec.service\n";

/// Its own view of the machine: as if systemd had booted it. Words of the test follow.
const WORLD: &str = r#"
mount --make-rprivate / && mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system /run/user || exit 99
umount -l /sys/fs/cgroup 2>/dev/null; mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit 99
group=/sys/fs/cgroup/evercrew-test-$$; mkdir $group && echo $$ > $group/cgroup.procs || exit 99
export XDG_RUNTIME_DIR=/run/user SYSTEMD_UNIT_PATH=$UNITS:
unset NOTIFY_SOCKET DBUS_SESSION_BUS_ADDRESS
/lib/systemd/systemd --user --log-target=console > $UNITS/systemd.log 2>&1 &
manager=$!
for _ in $(seq 200); do systemctl --user is-system-running >/dev/null 2>&1 && break; sleep 0.05; done
property() { systemctl --user show ec -p $1 --value; }
say() { echo "$1=$2"; }
eval "$SCRIPT"
systemctl --user stop given.socket ec
say stopped "$(property ActiveState)"
kill -KILL $manager; wait $manager
echo $$ > /sys/fs/cgroup/cgroup.procs; find $group -depth -type d -exec rmdir {} + 2>/dev/null
exit 0
"#;

const SCRIPT: &str = r#"
systemctl --user start given.socket ec; say start $?
say status "$(property StatusText)"
first=$(property MainPID)
say stored $(property NFileDescriptorStore)
say given "$(curl -s --unix-socket /run/user/given.sock http://x/ | head -1)"
at=$($EC status | sed -n 's/web listens on \(127[^ ]*\)/\1/p' | head -1)
systemctl --user reload ec; say reload $?
echo '[wrong' >> $FILE; systemctl --user reload ec 2>/dev/null; say refused $?; sed -i '/wrong/d' $FILE
say active "$(property ActiveState) $(property SubState)"
systemctl --user restart ec; say restart $?
[ "$first" != "$(property MainPID)" ]; say replaced $?
say same "$($EC status | grep -c "web listens on $at")"
say answer "$(curl -s http://$at/ | head -1)"
kill -9 $(property MainPID)
for _ in $(seq 200); do [ "$(property NRestarts)" = 1 ] && [ "$(property ActiveState)" = active ] && break; sleep 0.05; done
say killed "$(property StatusText)"
say again "$(curl -s http://$at/ | head -1)"
$EC down; say down $?
say ended "$(property Result)"
"#;

#[test]
fn the_generated_unit_starts_reloads_restarts_and_keeps_its_sockets() {
    let engine = Engine::new(EVERCREW, CONFIGURATION);
    if !Path::new(SYSTEMD).exists() {
        return println!("SKIP systemd is not installed");
    }
    let units = engine.home().join("units");
    fs::create_dir(&units).expect("make a directory");
    let write = |name: &str, text: &str| fs::write(units.join(name), text).expect("write a unit");
    write("ec.service", &engine.ok(&["generate", "systemd"]).stdout);
    write("given.socket", SOCKET);
    for target in ["default.target", "basic.target"] {
        write(target, "[Unit]\nDescription=nothing\n");
    }
    let file = engine.home().join("evercrew.toml");
    // A manager that hangs would hold the pipes of this test.
    let output = Command::new("timeout")
        .args([
            "-k",
            "5",
            "90",
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "bash",
            "-c",
            WORLD,
        ])
        .env("UNITS", &units)
        .env("SCRIPT", SCRIPT)
        .env("FILE", &file)
        .env("EC", format!("{EVERCREW} -c {}", file.display()))
        .stdin(Stdio::null())
        .output();
    let Ok(output) = output else { return println!("SKIP timeout and unshare are not installed") };
    if [Some(99), Some(1)].contains(&output.status.code()) {
        return println!("SKIP no mounts and cgroups of its own: {}", String::from_utf8_lossy(&output.stderr));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let said: Vec<&str> = said.lines().collect();
    let log = fs::read_to_string(units.join("systemd.log")).unwrap_or_default();
    let expected = [
        "start=0",
        "status=web 2/2 ready",
        "stored=1",
        "given=Hello from Evercrew",
        "reload=0",
        "refused=1",
        "active=active running",
        "restart=0",
        "replaced=0",
        "same=1",
        "answer=Hello from Evercrew",
        "killed=web 2/2 ready",
        "again=Hello from Evercrew",
        "down=0",
        "ended=success",
        "stopped=inactive",
    ];
    assert_eq!(said, expected, "{log}\n{}", String::from_utf8_lossy(&output.stderr));
}
