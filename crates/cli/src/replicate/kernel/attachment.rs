//! The program on an interface, which may be deleted and made again.

use rustix::io::Errno;
use tickwire_capture::af_xdp::{Reopening, attach_native};
use tickwire_capture::bpf::{Program, XdpLink};
use tickwire_capture::link::LinkWatch;
use tickwire_capture::{PortError, interfaces};

/// A program attached to the interface of a name, as long as there is one.
#[derive(Debug)]
pub struct Attachment {
    /// Detaches when dropped.
    link: XdpLink,
    watch: LinkWatch,
    name: String,
    /// Of the interface that it is attached to; none when that is gone.
    ifindex: Option<u32>,
    reopening: Reopening,
}

impl Attachment {
    /// Attaches `program` to the interface `name`, in the driver.
    pub fn new(program: &Program, name: &str) -> Result<Attachment, PortError> {
        let found = interfaces::find(name)?;
        let watch = LinkWatch::open(&found.name).map_err(not_watched)?;
        let link = attach_native(program, &found.name)?;
        let (name, ifindex) = (found.name, Some(found.index));
        Ok(Attachment { link, watch, name, ifindex, reopening: Reopening::default() })
    }

    /// The interface.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Puts `program` in the place of the attached one, without a packet in between.
    pub fn update(&self, program: &Program) -> Result<(), PortError> {
        match self.link.update(program) {
            // The interface is gone. When it is back, the program is made anew.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOLINK) => Ok(()),
            replaced => {
                replaced.map_err(|source| PortError::system("replace an XDP program", source, ""))
            }
        }
    }

    /// What arrives from now on is the host's.
    pub fn detach(&self) -> Result<(), PortError> {
        let cure = "stop the engine: the program goes with it";
        let what = || format!("detach the XDP program of {}", self.name);
        self.link.detach().map_err(|source| PortError::system(what(), source, cure))
    }

    /// Follows the interface: what `program` makes is attached when there is another one of its
    /// name.
    ///
    /// # Errors
    /// When the kernel refuses that for seconds.
    pub fn follow(
        &mut self,
        program: impl FnOnce() -> Result<Program, PortError>,
    ) -> Result<(), PortError> {
        self.watch.update().map_err(not_watched)?;
        // Gone, also when the next one has the same index.
        let Some(index) = self.watch.index() else {
            self.ifindex = None;
            return Ok(());
        };
        if self.ifindex == Some(index) || !self.watch.is_running() {
            return Ok(());
        }
        let attached = program().and_then(|program| attach_native(&program, &self.name));
        if self.reopening.judge(attached.map(|link| self.link = link))? {
            self.ifindex = Some(index);
            let name = &self.name;
            self.watch.notice(format!("{name} is back (index {index}), receiving again"));
        }
        Ok(())
    }

    /// What a person should know of the interface, oldest first.
    pub fn take_notice(&mut self) -> Option<String> {
        self.watch.take_notice()
    }
}

fn not_watched(source: std::io::Error) -> PortError {
    PortError::system("watch the link over rtnetlink", source, "")
}
