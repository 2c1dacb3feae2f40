//! `[follow]`: how many processes are followed until they end.

use super::{Time, table::table};

table! {
    /// Follow: the kernel tells this server when and how a process ends, if the start of the
    /// process came over the Unix socket.
    FollowConfig {
        /// Largest number of processes that are followed at once. Each needs an open file and about
        /// 1 KB of memory. No more than half of the files that the server may open are used for
        /// this. When more than half of this number are followed, a user may have only as many as
        /// are left (metric ogrt_sender_over_share_total). Of further processes, only those have
        /// an end that tell it themselves (metric ogrt_processes_unfollowed_total). 0: no process
        /// is followed.
        processes_max: usize = 100_000,
        /// true: where the kernel permits it (root, or CAP_NET_ADMIN, and no container), it tells
        /// this server of each fork. Then what a shell starts from a copy of itself has its place
        /// in the tree of its job, however short. false, or without permission: that is looked up
        /// in /proc, while the processes are there.
        forks: bool = true,
        /// Age at which a process is looked at in /proc for the first time, to know its CPU time
        /// and its memory. It is looked at again whenever its age has grown by a twentieth.
        /// Processes that end sooner have no CPU time in their ends.
        sample_from: Time = Time::from_secs(1),
        /// Largest number of processes that are looked at in a second, with the workers that they
        /// forked. Each look takes about 50 microseconds. Where more processes are followed, users
        /// take turns, and each process of a user with many is looked at more rarely. 0: none is
        /// looked at.
        samples_per_second: u64 = 1000,
    }
}
