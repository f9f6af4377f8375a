//! From a phone and what it asks for to the bytes it gets.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use include_dir::{Dir, include_dir};

use super::asked::Part;
use super::context;
use super::engine::{Broken, Compiled};
use super::format::Format;
use super::subject::Subject;
use crate::net::Mac;
use crate::phones::{Model, Vendor};
use crate::secrets;

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates/boot");

/// A template that comes with Patchbay.
#[derive(Debug, PartialEq, Eq)]
pub struct BuiltIn {
    /// Whose phones it is for.
    pub vendor: Vendor,
    /// What it is called: the file's name in `templates/boot/<vendor>/` without its ending.
    pub name: &'static str,
    /// What people read beside it.
    pub title: &'static str,
    /// Which of a phone's files it makes.
    pub part: Part,
    /// The families of models it is for; none is all of the vendor's.
    pub families: &'static [&'static str],
    /// What it makes.
    pub format: Format,
    path: &'static str,
}

const fn built_in(
    (vendor, name, path): (Vendor, &'static str, &'static str),
    title: &'static str,
    part: Part,
    families: &'static [&'static str],
    format: Format,
) -> BuiltIn {
    BuiltIn { vendor, name, title, part, families, format, path }
}

/// All templates that come with Patchbay.
pub static BUILT_IN: [BuiltIn; 23] = {
    use Format::{Lines, Xml};
    use Part::{Common, First, Own};
    use Vendor::{Cisco, Fanvil, Grandstream, Polycom, Snom, Yealink, Zultys};
    [
        built_in(
            (Yealink, "phone", "yealink/phone.cfg"),
            "T series, the phone's own file",
            Own,
            &["phone"],
            Lines,
        ),
        built_in(
            (Yealink, "dect", "yealink/dect.cfg"),
            "W series, the base's own file",
            Own,
            &["dect"],
            Lines,
        ),
        built_in((Yealink, "common", "yealink/common.cfg"), "the model's file", Common, &[], Lines),
        built_in((Polycom, "master", "polycom/master.cfg"), "the master file", First, &[], Xml),
        built_in(
            (Polycom, "phone", "polycom/phone.cfg"),
            "the phone's own file",
            Own,
            &["phone"],
            Xml,
        ),
        built_in((Polycom, "common", "polycom/common.cfg"), "the file for all", Common, &[], Xml),
        built_in(
            (Grandstream, "gxp", "grandstream/gxp.xml"),
            "GXP, the phone's own file",
            Own,
            &["gxp"],
            Xml,
        ),
        built_in(
            (Grandstream, "grp", "grandstream/grp.xml"),
            "GRP, the phone's own file",
            Own,
            &["grp"],
            Xml,
        ),
        built_in(
            (Grandstream, "ht", "grandstream/ht.xml"),
            "HT801, HT802 and HT812, the adapter's own file",
            Own,
            &["ht"],
            Xml,
        ),
        built_in(
            (Grandstream, "ht-ports", "grandstream/ht-ports.xml"),
            "HT814 and HT818, the adapter's own file",
            Own,
            &["ports"],
            Xml,
        ),
        built_in(
            (Grandstream, "common", "grandstream/common.xml"),
            "GXP and HT8xx, the model's file",
            Common,
            &["gxp", "ht", "ports"],
            Xml,
        ),
        built_in(
            (Grandstream, "grp-common", "grandstream/grp-common.xml"),
            "GRP, the model's file",
            Common,
            &["grp"],
            Xml,
        ),
        built_in(
            (Snom, "chain", "snom/chain.xml"),
            "the names of the other files",
            First,
            &[],
            Xml,
        ),
        built_in((Snom, "phone", "snom/phone.xml"), "the phone's own file", Own, &["phone"], Xml),
        built_in((Snom, "general", "snom/general.xml"), "the file for all", Common, &[], Xml),
        built_in(
            (Cisco, "first", "cisco/first.xml"),
            "the model's file, which leads to the device's own",
            First,
            &[],
            Xml,
        ),
        built_in(
            (Cisco, "spa", "cisco/spa.xml"),
            "SPA5xx, the phone's own file",
            Own,
            &["spa"],
            Xml,
        ),
        built_in(
            (Cisco, "mpp", "cisco/mpp.xml"),
            "MPP (3PCC), the phone's own file",
            Own,
            &["mpp"],
            Xml,
        ),
        built_in(
            (Cisco, "ata", "cisco/ata.xml"),
            "SPA1xx and ATA, the adapter's own file",
            Own,
            &["ata"],
            Xml,
        ),
        built_in(
            (Fanvil, "phone", "fanvil/phone.xml"),
            "the phone's own file",
            Own,
            &["phone"],
            Xml,
        ),
        built_in(
            (Fanvil, "common", "fanvil/common.xml"),
            "the model's file, which leads to the phone's own",
            Common,
            &[],
            Xml,
        ),
        built_in(
            (Zultys, "phone", "zultys/phone.cfg"),
            "the phone's own file",
            Own,
            &["phone"],
            Lines,
        ),
        built_in((Zultys, "common", "zultys/common.cfg"), "the model's file", Common, &[], Lines),
    ]
};

impl BuiltIn {
    /// The one called `name`.
    pub fn find(vendor: Vendor, name: &str) -> Option<&'static Self> {
        BUILT_IN.iter().find(|built_in| built_in.vendor == vendor && built_in.name == name)
    }

    /// The one from which `model` gets this file.
    pub fn of(model: &Model, part: Part) -> Option<&'static Self> {
        BUILT_IN.iter().find(|built_in| built_in.part == part && built_in.is_for(model))
    }

    /// Whether it is for phones of this model.
    pub fn is_for(&self, model: &Model) -> bool {
        self.vendor == model.vendor
            && (self.families.is_empty() || self.families.contains(&model.family))
    }

    /// Its text.
    pub fn source(&self) -> &'static str {
        let file = FILES.get_file(self.path);
        file.and_then(|file| file.contents_utf8()).unwrap_or_default()
    }

    /// Ready to run.
    pub fn compiled(&self) -> Result<Arc<Compiled>, Broken> {
        static READY: LazyLock<HashMap<&str, Result<Arc<Compiled>, Broken>>> =
            LazyLock::new(|| {
                let ready = |built_in: &'static BuiltIn| {
                    (built_in.path, Compiled::of(built_in.source(), built_in.format))
                };
                BUILT_IN.iter().map(ready).collect()
            });
        let missing = || Compiled::of(self.source(), self.format);
        READY.get(self.path).cloned().unwrap_or_else(missing)
    }
}

/// The templates in force for a tenant: its own where it has some, else those that come with
/// Patchbay. A template of the tenant's own is for a built-in one of the same name or for the own
/// file of one model, whose name it then has; the model's counts more.
#[derive(Clone, Default)]
pub struct Templates(Arc<BTreeMap<(Vendor, String), Override>>);

/// A template of a tenant's own.
#[derive(Clone)]
pub(super) struct Override {
    /// Its text.
    pub source: String,
    /// Ready to run.
    pub compiled: Result<Arc<Compiled>, Broken>,
}

impl Templates {
    /// `overrides`: vendor, name and text.
    pub fn new(overrides: impl IntoIterator<Item = (Vendor, String, String)>) -> Self {
        let compiled = overrides.into_iter().filter_map(|(vendor, name, source)| {
            let format = base(vendor, &name)?.format;
            let compiled = Compiled::of(&source, format);
            Some(((vendor, name), Override { source, compiled }))
        });
        Self(Arc::new(compiled.collect()))
    }

    /// The tenant's own text under this name.
    pub fn own(&self, vendor: Vendor, name: &str) -> Option<&str> {
        Some(self.0.get(&(vendor, name.to_owned()))?.source.as_str())
    }

    /// The name of the template from which `model` gets this file; none when it has no such file.
    pub fn name(&self, model: &Model, part: Part) -> Option<&'static str> {
        let built_in = BuiltIn::of(model, part)?;
        let for_model = part == Part::Own && self.own(model.vendor, model.name).is_some();
        Some(if for_model { static_name(model)? } else { built_in.name })
    }

    fn compiled(&self, model: &Model, part: Part) -> Option<Result<Arc<Compiled>, Broken>> {
        let built_in = BuiltIn::of(model, part)?;
        let own = |name: &str| self.0.get(&(model.vendor, name.to_owned()));
        let for_model = if part == Part::Own { own(model.name) } else { None };
        Some(match for_model.or_else(|| own(built_in.name)) {
            Some(own) => own.compiled.clone(),
            None => built_in.compiled(),
        })
    }
}

fn static_name(model: &Model) -> Option<&'static str> {
    Model::find(model.vendor, model.name).ok().map(|model| model.name)
}

/// The built-in template that one called `name` takes the place of: that of the same name, or that
/// of the model's own file.
pub fn base(vendor: Vendor, name: &str) -> Option<&'static BuiltIn> {
    BuiltIn::find(vendor, name).or_else(|| {
        let model = Model::find(vendor, name).ok()?;
        BuiltIn::of(model, Part::Own)
    })
}

/// A file for a phone.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// What HTTP calls it.
    pub content_type: &'static str,
    /// The file.
    pub bytes: Vec<u8>,
    /// The first twelve digits of the bytes' SHA-256: the same bytes have the same revision.
    pub revision: String,
    /// Whether a secret of the phone is in it. Its URL counts as one.
    pub secret: bool,
}

/// Why there is no file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// Phones of this model get no such file.
    #[error("phones of this model get no such file")]
    NoSuchFile,
    /// The template is broken.
    #[error("{0}")]
    Broken(#[from] Broken),
}

/// The file that is `part` of what `subject` gets. Pure: the same phone and templates give the
/// same bytes. The phone book is not made here: see [`super::book`].
pub fn render(
    subject: &Subject,
    part: Part,
    templates: &Templates,
) -> Result<Rendered, RenderError> {
    let compiled = templates.compiled(subject.model, part).ok_or(RenderError::NoSuchFile)??;
    let text = compiled.run(context::of(subject))?;
    let secret = subject.secrets().any(|secret| text.contains(secret));
    Ok(Rendered::new(compiled.format().content_type(), text.into_bytes(), secret))
}

impl Rendered {
    pub(super) fn new(content_type: &'static str, bytes: Vec<u8>, secret: bool) -> Self {
        let mut revision = secrets::fingerprint(&bytes);
        revision.truncate(12);
        Self { content_type, bytes, revision, secret }
    }
}

/// As [`render`], with an unsaved template, read as the phone will: for previews and before saving.
pub fn try_out(subject: &Subject, source: &str, format: Format) -> Result<String, Broken> {
    Compiled::of(source, format)?.run_checked(context::of(subject))
}

/// The files a phone of `model` with this address gets, by the names it asks for, in the order in
/// which it does.
pub fn names(model: &Model, mac: Mac) -> Vec<(String, Part)> {
    let (hex, common) = (mac.hex(), model.common);
    let book = ("phonebook.xml".to_owned(), Part::Book(1));
    let mut names = match model.vendor {
        Vendor::Yealink | Vendor::Zultys | Vendor::Fanvil => {
            vec![(format!("{common}.cfg"), Part::Common), (format!("{hex}.cfg"), Part::Own), book]
        }
        Vendor::Polycom => vec![
            (format!("{hex}.cfg"), Part::First),
            (format!("{hex}-common.cfg"), Part::Common),
            (format!("{hex}-user.cfg"), Part::Own),
            (format!("{hex}-directory.xml"), Part::Book(1)),
        ],
        Vendor::Grandstream if model.kind == crate::phones::Kind::Ata => {
            vec![(format!("cfg{hex}.xml"), Part::Own), (format!("cfg{common}.xml"), Part::Common)]
        }
        Vendor::Grandstream => vec![
            (format!("cfg{hex}.xml"), Part::Own),
            (format!("cfg{common}.xml"), Part::Common),
            book,
        ],
        Vendor::Snom => vec![
            (format!("{common}.htm"), Part::First),
            (format!("{common}-{}.htm", hex.to_uppercase()), Part::First),
            ("snom-general.xml".to_owned(), Part::Common),
            (format!("{}.xml", hex.to_uppercase()), Part::Own),
            book,
        ],
        Vendor::Cisco => {
            let end =
                if model.family == "spa" || common.starts_with("spa") { "cfg" } else { "xml" };
            vec![(format!("{common}.{end}"), Part::First), (format!("{hex}.xml"), Part::Own), book]
        }
    };
    if common.is_empty() {
        names.retain(|(_, part)| *part != Part::Common || model.vendor == Vendor::Polycom);
    }
    if model.kind == crate::phones::Kind::Ata {
        names.retain(|(_, part)| !matches!(part, Part::Book(_)));
    }
    names
}
