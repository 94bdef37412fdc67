//! The filter of a capture: its text, what is known when it is compiled, and how it is replaced.

use crate::exit::{Failure, say};
use crate::filter::text;
use crate::signals::Hangup;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tickwire_capture::interfaces::Interface;
use tickwire_engine::{FilterText, Filters, Select};
use tickwire_filter::{Filter, Options};
use tickwire_frame::LinkType;

/// What `capture` selects by. The empty one selects everything.
#[derive(Clone, Debug, Default)]
pub struct CaptureFilter {
    inner: Option<Arc<Inner>>,
}

#[derive(Debug)]
struct Inner {
    /// Where the text is read again from.
    file: Option<PathBuf>,
    text: String,
    /// What the command line says of how it is compiled.
    given: Options,
    /// What is known of the source, once it is open.
    known: Mutex<Option<Known>>,
}

#[derive(Clone, Debug)]
struct Known {
    options: Options,
    /// The link type of an interface; files say theirs as they are read.
    link: Option<LinkType>,
    interface_index: u32,
    filters: Arc<Filters>,
}

impl CaptureFilter {
    /// The filter of the command line: the words of an expression, or the file that it is in. They
    /// are checked. `given` is what else the command line says.
    pub fn read(
        expression: &[String],
        file: Option<&Path>,
        given: Options,
    ) -> Result<CaptureFilter, Failure> {
        let text = match file {
            Some(file) => text::read(file)?,
            None if expression.is_empty() => return Ok(CaptureFilter::default()),
            None => expression.join(" "),
        };
        tickwire_filter::parse(&text).map_err(|error| text::refused(&error, &text))?;
        let (file, known) = (file.map(Path::to_owned), Mutex::default());
        let inner = Inner { file, text, given, known };
        Ok(CaptureFilter { inner: Some(Arc::new(inner)) })
    }

    /// For the frames of `interface`: the filter that its port may hand to the kernel.
    pub fn on_interface(&self, interface: &Interface) -> Result<Option<Arc<Filter>>, Failure> {
        let Some(inner) = &self.inner else { return Ok(None) };
        // Of other interfaces the port will say that it cannot read them.
        let Some(link) = interface.link_type() else { return Ok(None) };
        let options = Options {
            netmask: netmask(interface),
            linux_extensions: true,
            tags_in_frame: true,
            ..inner.given.clone()
        };
        inner.know(options, Some(link), interface.index)
    }

    /// For the frames of a file; `link` is that of its first packet, if it is known.
    pub fn on_file(&self, link: Option<LinkType>) -> Result<(), Failure> {
        let Some(inner) = &self.inner else { return Ok(()) };
        let options = Options { from_file: true, ..inner.given.clone() };
        inner.know(options.clone(), None, 0)?;
        if let Some(link) = link {
            compile(&inner.text, &options, link)?;
        }
        Ok(())
    }

    /// How a worker selects.
    pub fn select(&self) -> Select {
        let Some(known) = self.inner.as_ref().and_then(|inner| inner.known()) else {
            return Select::everything();
        };
        let select = Select::by(known.filters);
        match known.link {
            Some(link) => select.on_interface(link, known.interface_index),
            None => select,
        }
    }

    /// What SIGHUP does when the text comes from a file: reads it again.
    pub fn on_hangup(&self) -> Option<Hangup> {
        self.inner.as_ref()?.file.as_ref()?;
        let filter = self.clone();
        Some(Box::new(move || filter.reload()))
    }

    /// Reads the file again: the capture goes on with the new filter or, when that is none, with
    /// the one before. Says which. Does nothing before the source is open.
    fn reload(&self) {
        let Some(inner) = &self.inner else { return };
        let (Some(file), Some(known)) = (&inner.file, inner.known()) else { return };
        match replace(file, &known) {
            Ok(text) => {
                say(format_args!("tickwire: filter replaced: {}\n", text::in_one_line(&text)))
            }
            Err(Failure::Failed(message) | Failure::Usage(message)) => {
                say(format_args!("tickwire: the filter before stays in force: {message}\n"));
            }
        }
    }
}

fn replace(file: &Path, known: &Known) -> Result<String, Failure> {
    let text = text::read(file)?;
    tickwire_filter::parse(&text).map_err(|error| text::refused(&error, &text))?;
    let next = FilterText::new(text.clone(), known.options.clone());
    if let Some(link) = known.link {
        next.compile(link).map_err(|error| text::refused(&error, &text))?;
    }
    known.filters.replace(next);
    Ok(text)
}

impl Inner {
    fn know(
        &self,
        options: Options,
        link: Option<LinkType>,
        interface_index: u32,
    ) -> Result<Option<Arc<Filter>>, Failure> {
        let text = FilterText::new(self.text.clone(), options.clone());
        let filter = match link {
            Some(link) => {
                Some(text.compile(link).map_err(|error| text::refused(&error, &self.text))?)
            }
            None => None,
        };
        let filters = Arc::new(Filters::new(text));
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Known { options, link, interface_index, filters });
        Ok(filter)
    }

    fn known(&self) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn compile(text: &str, options: &Options, link: LinkType) -> Result<Filter, Failure> {
    let options = Options { link_type: link, ..options.clone() };
    Filter::compile(text, &options).map_err(|error| text::refused(&error, text))
}

/// The netmask of the first IPv4 address, for `ip broadcast`.
fn netmask(interface: &Interface) -> Option<u32> {
    let (_, length) = interface.addresses.iter().find(|(address, _)| address.is_ipv4())?;
    Some(u32::MAX.checked_shl(32 - u32::from(*length).min(32)).unwrap_or(0))
}
