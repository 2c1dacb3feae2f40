//! Real processes, real sockets: what is known of a sender, and of how it ended.

use ogrt_observe::{KernelOffer, exit_status, pass_pidfds, process_number, receive};
use rustix::process::{Pid, PidfdFlags, getpid, pidfd_open};
use std::{
    io::IoSlice,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixDatagram, process::ExitStatusExt},
    },
    process::{Child, Command},
};

/// A shell, and its pidfd from before it ended.
fn shell(script: &str) -> (Child, OwnedFd) {
    let child = Command::new("sh").args(["-c", script]).spawn().unwrap();
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    (child, pidfd)
}

/// True, and said aloud, if this kernel lacks the feature.
fn lacks_exit_status() -> bool {
    let offer = KernelOffer::find_out();
    if offer != KernelOffer::ExitStatus {
        eprintln!("skipped: this kernel tells \"{}\" of a process that ends", offer.text());
    }
    offer != KernelOffer::ExitStatus
}

#[test]
fn the_status_is_there_once_a_process_is_reaped() {
    if lacks_exit_status() {
        return;
    }
    for (script, code, signal) in
        [("exit 0", Some(0), None), ("exit 3", Some(3), None), ("kill -9 $$", None, Some(9))]
    {
        let (mut child, pidfd) = shell(script);
        let parents = child.wait().unwrap();
        let ours = exit_status(&pidfd).unwrap().unwrap();
        assert_eq!((ours.code(), ours.signal()), (code, signal), "{script}");
        assert_eq!(ours, parents, "{script}");
    }
    let (mut child, pidfd) = shell("sleep 60");
    assert_eq!(exit_status(&pidfd).unwrap(), None);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn two_pidfds_of_a_process_have_one_number_and_no_other_process_has_it() {
    let ours = || pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    let Some(number) = process_number(ours()) else {
        return eprintln!("skipped: this kernel does not number processes");
    };
    assert_eq!(process_number(ours()), Some(number));
    let (mut child, pidfd) = shell("exit 0");
    assert_ne!(process_number(&pidfd), Some(number));
    child.wait().unwrap();
    assert_ne!(process_number(&pidfd), Some(number));
}

#[test]
fn a_datagram_comes_with_its_sender() {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    rustix::net::sockopt::set_socket_passcred(&ours, true).unwrap();
    let passes = pass_pidfds(&ours);
    theirs.send(b"first").unwrap();
    let mut buffer = [0; 64];
    let datagram = receive(&ours, &mut buffer).unwrap();
    assert_eq!(&buffer[..datagram.bytes], b"first");
    let pid = getpid().as_raw_nonzero().get().cast_unsigned();
    assert_eq!(datagram.credentials.map(|who| who.pid), Some(pid));
    if passes.is_ok() {
        let expected = process_number(pidfd_open(getpid(), PidfdFlags::empty()).unwrap());
        assert_eq!(process_number(datagram.pidfd.unwrap()), expected);
    }
    assert_eq!(receive(&ours, &mut buffer).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn descriptors_that_a_sender_attaches_are_closed() {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    rustix::net::sockopt::set_socket_passcred(&ours, true).unwrap();
    let _ = pass_pidfds(&ours);
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let mut counts = [0; 2];
    for attached in [1, 3, 60] {
        for count in &mut counts {
            for _ in 0..200 {
                send_with_descriptors(&theirs, attached);
                let datagram = receive(&ours, &mut [0; 64]).unwrap();
                assert_eq!(datagram.bytes, 1);
            }
            *count = open();
        }
        // Other tests of this program run beside this one: a few descriptors come and go, 200 would
        // stay.
        assert!(counts[1] < counts[0] + 100, "{counts:?} descriptors are open");
    }
}

fn send_with_descriptors(socket: &UnixDatagram, count: usize) {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let descriptors = vec![socket.as_fd(); count];
    let mut space = vec![std::mem::MaybeUninit::uninit(); 1024];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    sendmsg(socket, &[IoSlice::new(b"x")], &mut control, SendFlags::empty()).unwrap();
}
