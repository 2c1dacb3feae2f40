//! GPUs: devices that a process has open, and libraries by which it could use one.

use crate::process_directory::ProcessDirectory;
use ogrt_proto::Gpu;
use std::collections::BTreeMap;

/// Descriptors that are looked at, at most.
const DESCRIPTORS_MAX: usize = 4096;

/// The number that NVIDIA's devices have, and that of `/dev/dri`.
const NVIDIA: u32 = 195;
const DRI: u32 = 226;

/// The first of the devices in `/dev/dri` that compute and do not show, and the first of NVIDIA's
/// that is none: it is for the driver itself.
const RENDER: u32 = 128;
const NVIDIA_CONTROL: u32 = 254;

/// Libraries, by the beginning of their names, and their makers.
const LIBRARIES: [(&[u8], &str); 3] =
    [(b"libcuda.so", "nvidia"), (b"libamdhip64.so", "amd"), (b"libze_loader.so", "intel")];

/// The GPUs that a process uses or could use, by their makers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuUse(BTreeMap<&'static str, Vec<Vec<u8>>>);

impl GpuUse {
    /// Looks at the devices that a process has open, and at the paths of what it has loaded.
    pub fn look<'a>(directory: &ProcessDirectory, loaded: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut gpus = GpuUse::default();
        for path in loaded {
            gpus.loaded(path);
        }
        for (path, device) in directory.open_devices(DESCRIPTORS_MAX) {
            gpus.opened(path, device);
        }
        gpus
    }

    fn loaded(&mut self, path: &[u8]) {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let maker = LIBRARIES.iter().find(|(library, _)| name.starts_with(library)).map(|(_, maker)| *maker);
        if let Some(maker) = maker {
            self.0.entry(maker).or_default();
        }
    }

    fn opened(&mut self, path: Vec<u8>, device: (u32, u32)) {
        let maker = match device {
            (NVIDIA, number) if number < NVIDIA_CONTROL => "nvidia",
            // Intel's as well; what tells them apart is in /sys.
            (DRI, number) if number >= RENDER => maker_of_render_device(number),
            _ if path == b"/dev/kfd" => "amd",
            _ => return,
        };
        let devices = self.0.entry(maker).or_default();
        if let Err(at) = devices.binary_search(&path) {
            devices.insert(at, path);
        }
    }

    /// The same as the server is told.
    pub fn messages(&self) -> Vec<Gpu> {
        let message = |(maker, devices): (&&str, &Vec<Vec<u8>>)| Gpu {
            maker: Some((*maker).to_owned()),
            did: Some(!devices.is_empty()),
            devices: devices.iter().map(|device| device.clone().into()).collect(),
            claimed: None,
        };
        self.0.iter().map(message).collect()
    }
}

/// The maker of a device in `/dev/dri`, as the kernel knows it by the number of the PCI vendor.
fn maker_of_render_device(number: u32) -> &'static str {
    let vendor = std::fs::read_to_string(format!("/sys/dev/char/{DRI}:{number}/device/vendor"));
    match vendor.as_deref().map(str::trim) {
        Ok("0x10de") => "nvidia",
        Ok("0x1002") => "amd",
        Ok("0x8086") => "intel",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_and_what_could_be_are_told_apart() {
        let mut gpus = GpuUse::default();
        gpus.loaded(b"/usr/lib/libcuda.so.1");
        gpus.loaded(b"/usr/lib/libcudart.so.12");
        gpus.loaded(b"/opt/rocm/lib/libamdhip64.so.6");
        assert_eq!(gpus.messages().iter().map(|gpu| gpu.did()).collect::<Vec<_>>(), [false, false]);
        for name in ["/dev/nvidia1", "/dev/nvidia0", "/dev/nvidia0"] {
            gpus.opened(name.into(), (NVIDIA, 0));
        }
        gpus.opened(b"/dev/nvidiactl".to_vec(), (NVIDIA, 255));
        gpus.opened(b"/dev/null".to_vec(), (1, 3));
        let told = gpus.messages();
        let makers: Vec<_> = told.iter().map(|gpu| (gpu.maker(), gpu.did(), gpu.devices.len())).collect();
        assert_eq!(makers, [("amd", false, 0), ("nvidia", true, 2)]);
    }
}
