//! From a phone and a file's name to bytes, by way of the memory, the database and the templates.

use super::Provisioner;
use super::cache::Entry;
use super::epoch::Epoch;
use super::queries;
use super::types::{File, Kept};
use crate::boot::{self, Asked, Part, RenderError, What};
use crate::db::Tx;
use crate::id::TenantId;
use crate::net::Mac;
use crate::web::Error;

/// What there is for a phone under a name.
pub(super) enum Found {
    /// The file as it ought to be.
    Fresh(File),
    /// The file as last rendered so many seconds ago; whether it still holds cannot be known now.
    Aged(File, i64),
    /// It cannot be rendered; perhaps it once could.
    Broken(Option<File>, String),
    /// Phones of this make get no such file.
    Nothing,
    /// The database is gone, and the file was not rendered before.
    Unavailable,
}

/// Why a file could not be rendered.
enum Trouble {
    /// There is none.
    Nothing,
    /// The database is gone.
    Unavailable,
    /// A template is broken, or a row.
    Broken(String),
}

impl From<RenderError> for Trouble {
    fn from(error: RenderError) -> Self {
        match error {
            RenderError::NoSuchFile => Self::Nothing,
            RenderError::Broken(why) => Self::Broken(why.to_string()),
        }
    }
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Error::from(error).into()
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(_) => Self::Unavailable,
            other => Self::Broken(other.to_string()),
        }
    }
}

impl Provisioner {
    /// The file of a phone that is called as `asked` says.
    pub(super) async fn file(
        &self,
        (tenant, mac): (TenantId, Mac),
        asked: &Asked,
        epoch: Option<Epoch>,
    ) -> Found {
        let name = asked.name.to_ascii_lowercase();
        let cached = self.cache.file(mac, &name);
        let now = self.state.clock.now();
        let aged = |entry: Entry| Found::Aged(entry.file, now.since(entry.at));
        let Some(epoch) = epoch else { return cached.map_or(Found::Unavailable, aged) };
        if let Some(entry) = &cached
            && entry.epoch == Some(epoch)
        {
            return Found::Fresh(entry.file.clone());
        }
        match self.render((tenant, mac), asked, false).await {
            Ok(mut file) => {
                let same = cached.filter(|entry| entry.file.revision == file.revision);
                match same {
                    Some(entry) => file = entry.file,
                    None => self.keep((tenant, mac), &name, &file),
                }
                let entry = Entry { file: file.clone(), epoch: Some(epoch), at: now };
                self.cache.put(mac, &name, entry);
                Found::Fresh(file)
            }
            Err(Trouble::Nothing) => Found::Nothing,
            Err(Trouble::Unavailable) => cached.map_or(Found::Unavailable, aged),
            Err(Trouble::Broken(why)) => {
                tracing::error!(phone.mac = %mac, file = name, why, "a boot file cannot be rendered");
                let good = match cached {
                    Some(entry) => Some(entry.file),
                    None => self.last_good((tenant, mac), &name).await,
                };
                Found::Broken(good, why)
            }
        }
    }

    /// A file that is not the phone's own, with no secret in it: its URLs lead to plain names. For
    /// a phone that enrols and asks for what its model has in common before its own file.
    pub(super) async fn open_file(&self, whose: (TenantId, Mac), asked: &Asked) -> Found {
        match self.render(whose, asked, true).await {
            Ok(file) => Found::Fresh(file),
            Err(Trouble::Nothing) => Found::Nothing,
            Err(Trouble::Unavailable) => Found::Unavailable,
            Err(Trouble::Broken(why)) => Found::Broken(None, why),
        }
    }

    async fn render(
        &self,
        (tenant, mac): (TenantId, Mac),
        asked: &Asked,
        open: bool,
    ) -> Result<File, Trouble> {
        let mut tx = self.state.read().await?;
        rendered(&mut tx, self, (tenant, mac), asked, open).await
    }

    fn keep(&self, (tenant, mac): (TenantId, Mac), name: &str, file: &File) {
        let at = self.state.clock.now();
        self.log.keep(Kept { tenant, mac, name: name.to_owned(), file: file.clone(), at });
    }

    async fn last_good(&self, whose: (TenantId, Mac), name: &str) -> Option<File> {
        let read = async {
            let mut tx = self.state.read().await?;
            queries::kept(&mut tx, &self.state.vault, whose, name).await
        };
        read.await.ok().flatten().map(|(file, _)| file)
    }
}

async fn rendered(
    tx: &mut Tx,
    provisioner: &Provisioner,
    (tenant, mac): (TenantId, Mac),
    asked: &Asked,
    open: bool,
) -> Result<File, Trouble> {
    let state = &provisioner.state;
    let subject = boot::subject(tx, &state.vault, tenant, mac, &state.phones_url).await?;
    let mut subject = subject.ok_or(Trouble::Nothing)?;
    if open {
        subject = subject.masked();
        subject.url = format!("{}/provision", state.phones_url);
    }
    let What::File(part) = asked.what(subject.model.vendor) else {
        return Err(Trouble::Nothing);
    };
    let rendered = match part {
        Part::Book(page) if subject.settings.is_on("phonebook") => {
            let entries = boot::entries(tx, tenant).await?;
            boot::book::book(subject.model.vendor, &entries, page, &subject.url)
                .ok_or(Trouble::Nothing)?
        }
        Part::Book(_) => return Err(Trouble::Nothing),
        part => {
            let templates = boot::in_force(tx, tenant).await?;
            boot::render(&subject, part, &templates)?
        }
    };
    Ok(File {
        content_type: rendered.content_type.to_owned(),
        bytes: rendered.bytes.into(),
        revision: rendered.revision,
        secret: rendered.secret,
        own: part == Part::Own,
    })
}
