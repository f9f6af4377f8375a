//! From a phone and a file's name to bytes, by way of the memory, the database and the templates.

use std::sync::Arc;

use super::Provisioner;
use super::cache::{Entry, Material};
use super::epoch::Epoch;
use super::queries;
use super::types::{File, Kept};
use crate::boot::{self, Part, RenderError, Rendered};
use crate::id::TenantId;
use crate::net::Mac;
use crate::phones::Vendor;
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

impl File {
    fn of(rendered: Rendered, part: Part) -> Self {
        Self {
            content_type: rendered.content_type.to_owned(),
            bytes: rendered.bytes.into(),
            revision: rendered.revision,
            secret: rendered.secret,
            part,
        }
    }
}

impl Provisioner {
    /// A file of a phone by the name it has for it; the phone book is not among them.
    pub(super) async fn file(
        &self,
        (tenant, mac): (TenantId, Mac),
        (name, part): (&str, Part),
        epoch: Option<Epoch>,
    ) -> Found {
        let name = name.to_ascii_lowercase();
        let cached = self.cache.file(mac, &name);
        let now = self.state.clock.now();
        let aged = |entry: Entry| Found::Aged(entry.file, now.since(entry.at));
        let Some(epoch) = epoch else { return cached.map_or(Found::Unavailable, aged) };
        if let Some(entry) = &cached
            && entry.epoch == Some(epoch)
        {
            return Found::Fresh(entry.file.clone());
        }
        match self.render((tenant, mac), part, Some(epoch)).await {
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

    /// A page of the phone book. It is never kept: it holds nothing of the phone's, and very much. Those
    /// that are the same for all phones of a make are remembered once for all.
    pub(super) async fn book(
        &self,
        (tenant, mac, vendor): (TenantId, Mac, Vendor),
        page: u16,
        epoch: Option<Epoch>,
    ) -> Found {
        let shared = vendor != Vendor::Cisco && page == 1;
        let known = if shared { self.cache.book(tenant, vendor) } else { None };
        let now = self.state.clock.now();
        let aged = |entry: Entry| Found::Aged(entry.file, now.since(entry.at));
        let Some(epoch) = epoch else { return known.map_or(Found::Unavailable, aged) };
        let fresh = known.clone().filter(|entry| entry.epoch == Some(epoch));
        let fresh = fresh.map(|entry| entry.file);
        match self.make_book((tenant, mac), page, Some(epoch), fresh).await {
            Ok(file) => {
                if shared {
                    let entry = Entry { file: file.clone(), epoch: Some(epoch), at: now };
                    self.cache.put_book(tenant, vendor, entry);
                }
                Found::Fresh(file)
            }
            Err(Trouble::Nothing) => Found::Nothing,
            Err(Trouble::Unavailable) => known.map_or(Found::Unavailable, aged),
            Err(Trouble::Broken(why)) => Found::Broken(None, why),
        }
    }

    /// `made` is the page if it need not be made anew. Whether the phone has the book at all is its
    /// own setting.
    async fn make_book(
        &self,
        (tenant, mac): (TenantId, Mac),
        page: u16,
        epoch: Option<Epoch>,
        made: Option<File>,
    ) -> Result<File, Trouble> {
        let material = self.material((tenant, mac), epoch).await?;
        let subject = &material.subject;
        if !subject.settings.is_on("phonebook") {
            return Err(Trouble::Nothing);
        }
        if let Some(file) = made {
            return Ok(file);
        }
        let entries = boot::entries(&mut self.state.read().await?, tenant).await?;
        let book = boot::book::book(subject.model.vendor, &entries, page, &subject.url);
        Ok(File::of(book.ok_or(Trouble::Nothing)?, Part::Book(page)))
    }

    /// A file that is not the phone's own, with no secret in it: its URLs lead to plain names. For
    /// a phone that enrols and asks for what its model has in common before its own file.
    pub(super) async fn open_file(&self, whose: (TenantId, Mac), part: Part) -> Found {
        let made = match part {
            Part::Book(page) => self.make_book(whose, page, None, None).await,
            part => self.render(whose, part, None).await,
        };
        match made {
            Ok(file) => Found::Fresh(file),
            Err(Trouble::Nothing) => Found::Nothing,
            Err(Trouble::Unavailable) => Found::Unavailable,
            Err(Trouble::Broken(why)) => Found::Broken(None, why),
        }
    }

    async fn render(
        &self,
        whose: (TenantId, Mac),
        part: Part,
        epoch: Option<Epoch>,
    ) -> Result<File, Trouble> {
        let material = self.material(whose, epoch).await?;
        Ok(File::of(boot::render(&material.subject, part, &material.templates)?, part))
    }

    /// What files are made from; without an epoch, without a secret. Read once for all files of a
    /// phone that come for one after the other, as long as nothing is changed.
    async fn material(
        &self,
        (tenant, mac): (TenantId, Mac),
        epoch: Option<Epoch>,
    ) -> Result<Arc<Material>, Trouble> {
        if let Some(known) = epoch.and_then(|epoch| self.cache.material(mac, epoch)) {
            return Ok(known);
        }
        let (vault, url) = (&self.state.vault, &self.state.phones_url);
        let mut tx = self.state.read().await?;
        let subject = boot::subject(&mut tx, vault, tenant, mac, url).await?;
        let mut subject = subject.ok_or(Trouble::Nothing)?;
        let templates = boot::in_force(&mut tx, tenant).await?;
        let Some(epoch) = epoch else {
            subject = subject.masked();
            subject.url = format!("{url}/provision");
            return Ok(Arc::new(Material { subject, templates }));
        };
        let material = Arc::new(Material { subject, templates });
        self.cache.put_material(mac, epoch, material.clone());
        Ok(material)
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
