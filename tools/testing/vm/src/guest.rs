// SPDX-License-Identifier: GPL-2.0

//! A QEMU guest: its drives, its console, its control port and its monitor.

use anyhow::{
    bail,
    Context,
    Result, //
};
use serde_json::{
    json,
    Value, //
};
use std::fs::{
    self,
    File, //
};
use std::io::{
    BufRead,
    BufReader,
    Write, //
};
use std::os::unix::net::{
    UnixListener,
    UnixStream, //
};
use std::path::Path;
use std::process::{
    Child,
    Command,
    Stdio, //
};
use std::sync::mpsc::{
    self,
    Receiver,
    RecvTimeoutError,
    Sender, //
};
use std::thread;
use std::time::{
    Duration,
    Instant, //
};

const FIRMWARE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";

/// What the guest says first on its control port.
const HELLO: &str = "hello";

/// Bytes at the beginning of an emulated drive that say what they are; zeroes follow.
const CONTENT_SIZE: usize = 4 << 20;

/// An emulated NVMe drive behind a root port of its own: drive `n` is `0000:(n+1):00.0`.
#[derive(Clone)]
pub struct Drive {
    /// TCP port of its responder on the loopback interface. None: a drive without DOE.
    pub responder: Option<u16>,
    /// Whether it is in its slot at the start, or can be added later.
    pub present: bool,
}

/// What to boot.
pub struct Config<'a> {
    /// Directory for sockets, disks and the console log; it must exist.
    pub directory: &'a Path,
    /// The kernel image.
    pub kernel: &'a Path,
    /// The initial RAM file system.
    pub initramfs: &'a [u8],
    /// Further words for the kernel's command line.
    pub append: &'a str,
    /// The drives.
    pub drives: &'a [Drive],
    /// Their size in MiB.
    pub drive_size: u64,
    /// The machine was on before: what was on its drives is still there, and its log goes on.
    pub again: bool,
    /// The socket at the other end of a third serial port, if there is to be one.
    pub serial: Option<&'a Path>,
    /// Virtual CPUs.
    pub cpus: usize,
    /// Slots are in the hands of the kernel's PCIe hot-plug driver, not of the firmware's ACPI methods. Then they
    /// tell of their links, too, without which a bus reset counts as failed; and no ACPI method describes the drives of
    /// the boot before to an image that is restored with others.
    pub native_hotplug: bool,
    /// Connect the console to this process's terminal.
    pub interactive: bool,
}

/// Something a guest did.
pub enum Event {
    /// A line on its console.
    Console(String),
    /// A line on its control port, to be answered.
    Control(String),
    /// It has ended.
    Ended,
    /// Nothing, until the time limit.
    Timeout,
}

/// A running guest. It is killed when dropped, and by the kernel if this process dies.
pub struct Guest {
    qemu: Child,
    events: Receiver<Event>,
    control: UnixStream,
    monitor: Monitor,
    drives: Vec<Drive>,
}

impl Guest {
    /// Starts QEMU.
    ///
    /// # Errors
    ///
    /// If QEMU does not start, for example because nobody listens on a responder's port; with its
    /// words.
    pub fn start(config: &Config) -> Result<Guest> {
        let directory = config.directory;
        let path = |name: &str| directory.join(name);
        fs::write(path("initramfs"), config.initramfs)?;
        fs::copy(VARIABLES, path("variables.fd")).context(VARIABLES)?;
        for name in ["console.sock", "control.sock", "monitor.sock"] {
            if path(name).exists() {
                fs::remove_file(path(name))?;
            }
        }
        let console = UnixListener::bind(path("console.sock"))?;
        let control = UnixListener::bind(path("control.sock"))?;
        let monitor = UnixListener::bind(path("monitor.sock"))?;

        // A parent's death reaches its child through setpriv, without unsafe code here.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "qemu-system-x86_64"]);
        command.args(arguments(config)?);
        command
            .stdout(if config.interactive {
                Stdio::inherit()
            } else {
                Stdio::null()
            })
            .stderr(File::create(path("qemu.log"))?);
        if !config.interactive {
            command.stdin(Stdio::null());
        }
        let mut qemu = command.spawn().context("cannot run setpriv")?;

        let (sender, events) = mpsc::channel();
        let accepted = (|| {
            if !config.interactive {
                let console = accept(&console, &mut qemu)?;
                let log = File::options()
                    .create(true)
                    .write(true)
                    .append(config.again)
                    .truncate(!config.again)
                    .open(path("console.log"))?;
                forward(console, Some(log), None, Event::Console, sender.clone());
            }
            let control = accept(&control, &mut qemu)?;
            // Firmware and drivers that look for the port write to it, too.
            let stream = control.try_clone()?;
            forward(stream, None, Some(HELLO), Event::Control, sender.clone());
            let monitor = Monitor::new(accept(&monitor, &mut qemu)?)?;
            Ok((control, monitor))
        })();
        match accepted {
            Ok((control, monitor)) => Ok(Guest {
                qemu,
                events,
                control,
                monitor,
                drives: config.drives.to_vec(),
            }),
            Err(error) => {
                // It may have ended by itself.
                let _ = qemu.kill();
                let _ = qemu.wait();
                let words: anyhow::Error = error;
                let log = fs::read_to_string(path("qemu.log")).unwrap_or_default();
                Err(words.context(format!("QEMU did not start: {}", log.trim())))
            }
        }
    }

    /// The next thing that happens before `deadline`.
    pub fn event(&self, deadline: Instant) -> Event {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.events.recv_timeout(left) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => Event::Timeout,
            Err(RecvTimeoutError::Disconnected) => Event::Ended,
        }
    }

    /// Answers the last line on the control port with one line.
    ///
    /// # Errors
    ///
    /// If the guest is gone.
    pub fn answer(&mut self, line: &str) -> Result<()> {
        let line = line.trim_end().replace('\r', "").replace('\n', " | ");
        self.control.write_all(format!("{line}\n").as_bytes())?;
        Ok(())
    }

    /// Gives a command to QEMU's monitor (the one for people) and returns what it prints.
    ///
    /// # Errors
    ///
    /// If QEMU is gone or does not know the command.
    pub fn monitor(&mut self, command: &str) -> Result<String> {
        let arguments = json!({ "command-line": command });
        let value = self.monitor.execute("human-monitor-command", arguments)?;
        Ok(value.as_str().unwrap_or_default().to_owned())
    }

    /// Puts drive `n` into its slot.
    ///
    /// # Errors
    ///
    /// If there is no such drive, or it is there already.
    pub fn add_drive(&mut self, n: usize) -> Result<()> {
        let drive = self.drives.get_mut(n).context("no such drive")?;
        let arguments = device(n, drive);
        self.monitor.execute("device_add", arguments)?;
        drive.present = true;
        Ok(())
    }

    /// Asks the guest to let go of drive `n`. It is gone when the guest has agreed.
    ///
    /// # Errors
    ///
    /// If there is no such drive, or it is not in its slot.
    pub fn remove_drive(&mut self, n: usize) -> Result<()> {
        let drive = self.drives.get_mut(n).context("no such drive")?;
        self.monitor
            .execute("device_del", json!({ "id": format!("nvme{n}") }))?;
        drive.present = false;
        Ok(())
    }

    /// The drives, and which of them are in their slots.
    pub fn drives(&self) -> &[Drive] {
        &self.drives
    }

    /// Waits for QEMU to end by itself after the guest has powered off.
    pub fn wait(&mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            match self.qemu.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(20)),
                _ => return,
            }
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// The content of drive `n`: each sector says which one it is, so that what is read can be told
/// from what another drive or another sector would give.
pub fn drive_content(n: usize) -> Vec<u8> {
    let mut content = Vec::with_capacity(CONTENT_SIZE);
    for sector in 0..CONTENT_SIZE / 512 {
        let mut line = format!("drive {n} sector {sector} ").into_bytes();
        let filler = b'a' + (sector.wrapping_mul(31).wrapping_add(n) % 26) as u8;
        line.resize(511, filler);
        line.push(b'\n');
        content.extend_from_slice(&line);
    }
    content
}

/// QEMU's options for drive `n`.
fn device(n: usize, drive: &Drive) -> Value {
    let mut value = json!({
        "driver": "nvme",
        "id": format!("nvme{n}"),
        "bus": format!("port{n}"),
        "drive": format!("disk{n}"),
        "serial": format!("SPDM{n}"),
    });
    if let Some(port) = drive.responder {
        value["spdm_port"] = json!(port);
    }
    value
}

fn arguments(config: &Config) -> Result<Vec<String>> {
    let path = |name: &str| config.directory.join(name).display().to_string();
    let mut arguments: Vec<String> = Vec::new();
    let mut add = |option: &str, value: String| {
        arguments.push(option.to_owned());
        if !value.is_empty() {
            arguments.push(value);
        }
    };
    add("-nodefaults", String::new());
    add("-no-user-config", String::new());
    add("-no-reboot", String::new());
    add("-display", "none".to_owned());
    add("-machine", "q35".to_owned());
    add("-accel", "tcg".to_owned());
    // identify_cpu() clears the CPU's features before it finds them again: in an interrupt meanwhile there are four levels
    // of page tables, and if there are five, KASAN takes memory for none.
    add("-cpu", "max,la57=off".to_owned());
    add("-smp", config.cpus.to_string());
    add("-m", "1G".to_owned());
    if config.native_hotplug {
        let option = "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off";
        add("-global", option.to_owned());
    }
    let flash = |options: &str, file: &str| format!("if=pflash,format=raw,{options}file={file}");
    add("-drive", flash("readonly=on,", FIRMWARE));
    add("-drive", flash("", &path("variables.fd")));
    add("-kernel", config.kernel.display().to_string());
    add("-initrd", path("initramfs"));
    let quiet = if config.interactive { "quiet" } else { "" };
    // no_timer_check: the check counts ticks in real time, of which a busy host gives an emulated machine too few.
    add(
        "-append",
        format!(
            "console=ttyS0,115200 panic=-1 no_timer_check {quiet} {}",
            config.append
        ),
    );
    if config.interactive {
        add("-chardev", "stdio,id=console,signal=off".to_owned());
    } else {
        add(
            "-chardev",
            format!("socket,id=console,path={}", path("console.sock")),
        );
    }
    add("-serial", "chardev:console".to_owned());
    for (name, option, value) in [
        ("control", "-serial", "chardev:control"),
        ("monitor", "-mon", "chardev=monitor,mode=control"),
    ] {
        add(
            "-chardev",
            format!("socket,id={name},path={}", path(&format!("{name}.sock"))),
        );
        add(option, value.to_owned());
    }
    if let Some(socket) = config.serial {
        let socket = format!("socket,id=serial,path={}", socket.display());
        add("-chardev", socket);
        add("-serial", "chardev:serial".to_owned());
    }
    for (n, drive) in config.drives.iter().enumerate() {
        let disk = path(&format!("disk{n}"));
        if !config.again {
            fs::write(&disk, drive_content(n)).with_context(|| disk.clone())?;
            let file = File::options().write(true).open(&disk)?;
            file.set_len(config.drive_size << 20)?;
        }
        add(
            "-blockdev",
            format!("driver=raw,node-name=disk{n},file.driver=file,file.filename={disk}"),
        );
        // The slot number is the guest's bus number, too: one bus per root port, in this order.
        add(
            "-device",
            format!("pcie-root-port,id=port{n},chassis={n},slot={}", n + 1),
        );
        if drive.present {
            add("-device", device(n, drive).to_string());
        }
    }
    Ok(arguments)
}

/// Waits for QEMU to connect, unless it has ended.
fn accept(listener: &UnixListener, qemu: &mut Child) -> Result<UnixStream> {
    listener.set_nonblocking(true)?;
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(status) = qemu.try_wait()? {
            bail!("{status}");
        }
        thread::sleep(Duration::from_millis(10));
    }
    bail!("no connection")
}

/// Sends each line of a stream as an event, and its end. With `after`, from behind that line on.
fn forward(
    stream: UnixStream,
    mut log: Option<File>,
    mut after: Option<&'static str>,
    event: fn(String) -> Event,
    sender: Sender<Event>,
) {
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        loop {
            line.clear();
            match reader.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\n', '\r']).to_owned();
            if let Some(wanted) = after {
                if text == wanted {
                    after = None;
                }
                continue;
            }
            if let Some(log) = &mut log {
                // A log that cannot be written is no reason to stop the guest.
                let _ = writeln!(log, "{text}");
            }
            if sender.send(event(text)).is_err() {
                return;
            }
        }
        // Nobody may be listening any more.
        let _ = sender.send(Event::Ended);
    });
}

/// QEMU's monitor for programs (QMP).
struct Monitor {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Monitor {
    fn new(stream: UnixStream) -> Result<Monitor> {
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut monitor = Monitor {
            reader: BufReader::new(stream.try_clone()?),
            writer: stream,
        };
        monitor.read()?; // the greeting
        monitor.execute("qmp_capabilities", json!({}))?;
        Ok(monitor)
    }

    fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let request = json!({ "execute": command, "arguments": arguments });
        self.writer.write_all(format!("{request}\n").as_bytes())?;
        loop {
            let mut answer = self.read()?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = answer.get("error") {
                bail!("{}", error["desc"].as_str().unwrap_or("unknown error"));
            }
            // Otherwise an event: not asked for.
        }
    }

    fn read(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            bail!("QEMU has closed its monitor");
        }
        Ok(serde_json::from_str(&line)?)
    }
}
