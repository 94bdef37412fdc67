//! What survives a restart: the state file, and what is to be said of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tickwire_replicate::state::{self, Saved, StateError};

/// How often a file that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// The state file of a table.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// Subscribers of feeds that are not configured now: they stay until these are again.
    others: Vec<Saved>,
    /// Why the file is not what the table is, and when that was tried last.
    not_kept: Option<(String, Instant)>,
    news: Option<String>,
}

impl Store {
    /// Reads the file `path`, if there is one: who is back on a feed that is `known`, and the
    /// store, which keeps the others.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, or is no file.
    pub fn open(
        path: &Path,
        known: impl Fn(&str) -> bool,
    ) -> Result<(Vec<Saved>, Store), StateError> {
        let saved = state::load(path)?.unwrap_or_default();
        let (back, others) = saved.into_iter().partition(|one| known(&one.feed));
        let path = path.to_owned();
        Ok((back, Store { path, others, not_kept: None, news: None }))
    }

    /// Who stays in the file and gets nothing, feed by feed, for people.
    pub fn others(&self) -> impl Iterator<Item = String> {
        let mut feeds: BTreeMap<&str, usize> = BTreeMap::new();
        for one in &self.others {
            *feeds.entry(&one.feed).or_default() += 1;
        }
        let text = |(feed, count)| {
            format!(
                "subscribers of feed {feed} stay in the state file and get nothing: {count}, \
                 until a feed has this name again"
            )
        };
        feeds.into_iter().map(text)
    }

    /// Writes `saved`. When that fails, what changed is in force all the same: it is said, and
    /// tried again.
    pub fn save(&mut self, mut saved: Vec<Saved>) {
        saved.extend(self.others.iter().cloned());
        let before = self.not_kept.take();
        match state::save(&self.path, &saved) {
            Ok(()) if before.is_none() => {}
            Ok(()) => self.news = Some(format!("the state file {} is whole again", self.path())),
            Err(error) => {
                let why = format!("a restart would forget the last changes: {error}");
                if before.is_none_or(|(before, _)| before != why) {
                    self.news = Some(why.clone());
                }
                self.not_kept = Some((why, Instant::now()));
            }
        }
    }

    fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// Whether it is time to write again what could not be written.
    pub fn is_due(&self) -> bool {
        self.not_kept.as_ref().is_some_and(|(_, tried)| tried.elapsed() >= RETRY)
    }

    /// Why a restart would forget the last changes, with the cure.
    pub fn not_kept(&self) -> Option<String> {
        self.not_kept.as_ref().map(|(why, _)| why.clone())
    }

    /// What is new and should be said.
    pub fn take_news(&mut self) -> Option<String> {
        self.news.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickwire_replicate::Subscriber;

    #[test]
    fn a_failure_is_said_once_and_so_is_its_end() {
        let name = format!("tickwire-store-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let saved = |feed: &str| Saved {
            feed: feed.into(),
            subscriber: Subscriber::new("10.0.0.1:5000".parse().expect("an address")),
        };
        let path = folder.join("state");
        std::fs::create_dir(&folder).expect("a folder");
        state::save(&path, &[saved("a"), saved("gone"), saved("gone")]).expect("saved");
        let (back, mut store) = Store::open(&path, |feed| feed == "a").expect("a good file");
        assert_eq!(back, [saved("a")]);
        let told: Vec<String> = store.others().collect();
        assert!(told.len() == 1 && told[0].contains("gone stay") && told[0].contains("2, until"));
        std::fs::remove_dir_all(&folder).expect("removed");
        store.save(vec![saved("a")]);
        let why = store.take_news().expect("news");
        assert!(why.contains("would forget") && why.contains("choose another place"), "{why}");
        assert_eq!((store.not_kept(), store.is_due()), (Some(why), false));
        store.save(vec![saved("a")]);
        assert_eq!(store.take_news(), None, "it was said");
        std::fs::create_dir(&folder).expect("a folder");
        store.save(vec![saved("a")]);
        assert!(store.take_news().is_some_and(|news| news.contains("whole again")));
        assert_eq!(store.not_kept(), None);
        let loaded = state::load(&path).expect("a good file");
        assert_eq!(loaded, Some(vec![saved("a"), saved("gone"), saved("gone")]), "others stay");
        let _ = std::fs::remove_dir_all(&folder);
    }
}
