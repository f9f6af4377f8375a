//! The running Asterisk: reload it, and read back what it holds.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::render::File;
use super::types::Module;
use crate::asterisk::access::{Access, Unusable};
use crate::asterisk::ami::{Ami, AmiError, ReloadResult};
use crate::asterisk::conf::{self, Files};
use crate::asterisk::dialplan::Step;
use crate::asterisk::objects::{ObjectKind, Objects};

/// Older than this, `core reload` of others may deadlock it; said, not refused.
const ADVISED: (u32, u32, u32) = (22, 10, 0);
/// How long another reload (somebody at the command line) is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Differences named one by one.
const NAMED: usize = 20;

/// A connection to an Asterisk that is new enough.
pub struct Session {
    ami: Ami,
    /// Its version.
    pub version: (u32, u32, u32),
}

impl Session {
    /// Connects, signs in and asks for the version.
    pub async fn open(access: &Access) -> Result<Self, Unusable> {
        let (ami, version) = access.connect().await?;
        Ok(Self { ami, version })
    }

    /// What to say of a version that works but should not be used.
    pub fn advice(&self) -> Option<String> {
        let (major, minor, patch) = self.version;
        (self.version < ADVISED).then(|| {
            format!("Asterisk {major}.{minor}.{patch} is older than 22.10: other reloads can deadlock it, upgrade it")
        })
    }

    /// When Asterisk started, by its own clock.
    pub async fn started_at(&mut self) -> Result<String, AmiError> {
        self.ami.started_at().await
    }

    /// Whether a module is loaded.
    pub async fn has_module(&mut self, name: &str) -> Result<bool, AmiError> {
        let action = crate::asterisk::ami::Action::new("ModuleCheck").field("Module", name)?;
        match self.ami.action(&action).await {
            Err(AmiError::Failed(_)) => Ok(false),
            outcome => outcome.map(|()| true),
        }
    }

    /// Reloads the module that reads `file`; waits while somebody else's reload runs.
    pub async fn reload(&mut self, file: &File) -> Result<Module, AmiError> {
        let started = Instant::now();
        let mut result = self.ami.reload(file.module).await?;
        while result == ReloadResult::InProgress && started.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(100)).await;
            result = self.ami.reload(file.module).await?;
        }
        Ok(Module {
            name: file.module.to_owned(),
            file: file.name.to_owned(),
            reloaded: result == ReloadResult::Reloaded,
            result: said(result).to_owned(),
            duration_ms: millis(started.elapsed()),
        })
    }

    /// Whether Asterisk holds a file's canary, that is, read the file to its end. What is missing
    /// of it is said.
    pub async fn missing_canaries(&mut self, file: &File) -> Result<Vec<String>, AmiError> {
        if file.module != "res_pjsip.so" {
            let there = self.ami.has_context(&file.canary).await?;
            let said = format!("{}: Asterisk did not load it to the end", file.name);
            return Ok(if there { Vec::new() } else { vec![said] });
        }
        let parts = self.ami.parts_of_endpoint(&file.canary).await?;
        let missing = ObjectKind::ALL
            .into_iter()
            .filter(|kind| !parts.contains(&(*kind, file.canary.clone())));
        Ok(missing
            .map(|kind| format!("{}: Asterisk did not take its {}s", file.name, kind.as_str()))
            .collect())
    }

    /// Those of the files whose canary Asterisk does not hold.
    pub async fn unheld(&mut self, files: &[File]) -> Result<Vec<File>, AmiError> {
        let mut unheld = Vec::new();
        for file in files {
            if !self.missing_canaries(file).await?.is_empty() {
                unheld.push(file.clone());
            }
        }
        Ok(unheld)
    }

    /// What is missing of the canaries of all files.
    pub async fn all_missing_canaries(&mut self, files: &[File]) -> Result<Vec<String>, AmiError> {
        let mut missing = Vec::new();
        for file in files {
            missing.extend(self.missing_canaries(file).await?);
        }
        Ok(missing)
    }

    /// What each of these contexts of the dialplan holds.
    pub async fn steps(&mut self, contexts: &[String]) -> Result<Vec<BTreeSet<Step>>, AmiError> {
        let mut steps = Vec::new();
        for context in contexts {
            steps.push(self.ami.steps(context).await?);
        }
        Ok(steps)
    }

    /// The missing canaries and the ids of all objects; each kind over a connection of its own:
    /// Asterisk makes one list at a time for each connection. Without such connections this one
    /// serves for all.
    pub async fn look(
        &mut self,
        files: &[File],
        spare: Option<[Self; 2]>,
    ) -> Result<(Vec<String>, Ids), AmiError> {
        let Some([mut second, mut third]) = spare else {
            return Ok((self.all_missing_canaries(files).await?, self.ids().await?));
        };
        let mine = async {
            let missing = self.all_missing_canaries(files).await?;
            Ok::<_, AmiError>((missing, self.ami.ids(ObjectKind::Endpoint).await?))
        };
        let ((missing, endpoints), auths, aors) = tokio::try_join!(
            mine,
            second.ami.ids(ObjectKind::Auth),
            third.ami.ids(ObjectKind::Aor)
        )?;
        Ok((missing, Ids { endpoints, auths, aors }))
    }

    /// Two more connections, if they can be had.
    pub async fn open_spare(access: &Access) -> Option<[Self; 2]> {
        let (one, other) = tokio::try_join!(Self::open(access), Self::open(access)).ok()?;
        Some([one, other])
    }

    /// The ids of all objects Asterisk holds.
    pub async fn ids(&mut self) -> Result<Ids, AmiError> {
        let mut ids = Ids::default();
        for kind in ObjectKind::ALL {
            *ids.of_mut(kind) = self.ami.ids(kind).await?;
        }
        Ok(ids)
    }
}

fn said(result: ReloadResult) -> &'static str {
    match result {
        ReloadResult::Reloaded => "reloaded",
        ReloadResult::Queued => "Asterisk is still starting and put it off",
        ReloadResult::NoSuchModule => "the module is not loaded",
        ReloadResult::Failed => "the module reports a failure",
        ReloadResult::InProgress => "another reload is running",
        ReloadResult::Uninitialized => "the module did not start; restart Asterisk",
        ReloadResult::NotReloadable => "the module cannot reload",
    }
}

/// Whole milliseconds, for people and the history.
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The ids of objects, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    endpoints: BTreeSet<String>,
    auths: BTreeSet<String>,
    aors: BTreeSet<String>,
}

impl Ids {
    /// Those a release defines.
    pub fn of_files(files: &[File]) -> Self {
        let sources: Files =
            files.iter().map(|file| (file.name.to_owned(), file.bytes())).collect();
        Self::of_tree(&conf::parse(&sources, "pjsip.conf"))
    }

    /// Those a configuration defines.
    pub fn of_tree(tree: &conf::Tree) -> Self {
        let objects = Objects::of(tree);
        let mut ids = Self::default();
        for kind in ObjectKind::ALL {
            *ids.of_mut(kind) = objects.ids(kind).into_iter().map(str::to_owned).collect();
        }
        ids
    }

    fn of(&self, kind: ObjectKind) -> &BTreeSet<String> {
        match kind {
            ObjectKind::Endpoint => &self.endpoints,
            ObjectKind::Auth => &self.auths,
            ObjectKind::Aor => &self.aors,
        }
    }

    fn of_mut(&mut self, kind: ObjectKind) -> &mut BTreeSet<String> {
        match kind {
            ObjectKind::Endpoint => &mut self.endpoints,
            ObjectKind::Auth => &mut self.auths,
            ObjectKind::Aor => &mut self.aors,
        }
    }

    /// Those that are here and not there.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let mut left = Self::default();
        for kind in ObjectKind::ALL {
            *left.of_mut(kind) = self.of(kind).difference(other.of(kind)).cloned().collect();
        }
        left
    }

    /// Each by its name.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let of = |kind: ObjectKind| {
            self.of(kind).iter().map(move |id| format!("{} {id}", kind.as_str()))
        };
        ObjectKind::ALL.into_iter().flat_map(of)
    }

    /// A sentence on each that ends with its name; beyond a number of them how many more there are.
    pub fn said(&self, before: &str) -> Vec<String> {
        let all = self.names().count();
        let mut said: Vec<String> =
            self.names().take(NAMED).map(|name| format!("{before} {name}")).collect();
        if all > NAMED {
            said.push(format!("{before} {} more", all - NAMED));
        }
        said
    }

    /// Those that are in both.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        let mut common = Self::default();
        for kind in ObjectKind::ALL {
            *common.of_mut(kind) = self.of(kind).intersection(other.of(kind)).cloned().collect();
        }
        common
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(endpoints: &[&str]) -> Ids {
        Ids { endpoints: endpoints.iter().map(|id| (*id).to_owned()).collect(), ..Ids::default() }
    }

    #[test]
    fn differences_are_named_and_beyond_a_number_counted() {
        let says = "Asterisk does not hold";
        let left = ids(&["1000", "1001"]).without(&ids(&["1001", "1002"]));
        assert_eq!(left.said(says), ["Asterisk does not hold endpoint 1000"]);
        let many: Vec<String> = (1000..1050).map(|n| n.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let said = ids(&many).said(says);
        assert_eq!((said.len(), said[20].as_str()), (21, "Asterisk does not hold 30 more"));
        assert_eq!(ids(&many).names().count(), 50);
    }
}
