//! The same by API: a table as the body, and a table as the answer.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Asked, BadQuery, Importer, Kind, headings, moment, rows};
use crate::api::{self, Answer, Problem, Upload};
use crate::auth::access::{Access, Route};
use crate::auth::{Operator, Right};
use crate::web::sheet::{Fate, Part, Report, Spool, UPLOAD_LIMIT, export};

/// Rows told of at most in one answer.
const MOST_TOLD: usize = 100_000;

/// Every call.
pub fn routes() -> Vec<Route> {
    let (read, manage) = (Access::Api(Right::Read), Access::Api(Right::ManageAddresses));
    vec![
        Route::get("/api/v1/subnets/export", read, export_subnets),
        Route::get("/api/v1/addresses/export", read, export_addresses),
        Route::get("/api/v1/hosts/export", read, export_hosts),
        Route::post("/api/v1/subnets/import", manage, import_subnets).uploads(UPLOAD_LIMIT),
        Route::post("/api/v1/addresses/import", manage, import_addresses).uploads(UPLOAD_LIMIT),
        Route::post("/api/v1/hosts/import", manage, import_hosts).uploads(UPLOAD_LIMIT),
    ]
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ImportParams {
    /// `true`: say what would happen, change nothing.
    #[param(required = false)]
    dry_run: bool,
    /// What the file is called, for the history.
    #[param(required = false)]
    file_name: String,
    /// Tell of rows and faults from this line of the file on; without it from the first.
    #[param(required = false)]
    from_line: u64,
    /// How many rows, and how many faults, to tell of: 1 to 100,000; without it 200.
    #[param(required = false)]
    most: Option<usize>,
}

/// One row and what became of it.
#[derive(Serialize, ToSchema)]
pub struct ImportedRow {
    /// The line in the file, from 1.
    pub line: u64,
    /// What the row is about.
    #[schema(example = "10.20.5.17")]
    pub what: String,
    /// `added`, `changed` or `unchanged`.
    pub verdict: &'static str,
}

/// What an import did, or would do.
#[derive(Serialize, ToSchema)]
pub struct Imported {
    /// Whether nothing was written because only a dry run was asked for.
    pub dry_run: bool,
    /// Rows of the file.
    pub rows: usize,
    /// Those that are new.
    pub added: usize,
    /// Those that were there and changed.
    pub changed: usize,
    /// Those that were there, as the file says.
    pub unchanged: usize,
    /// Columns that were not used.
    pub ignored_columns: Vec<String>,
    /// The first 200 rows, or those asked for, each with what became of it.
    pub row_verdicts: Vec<ImportedRow>,
    /// The `from_line` to go on with; null when every row was told of.
    pub next_line: Option<u64>,
}

/// What is wrong with one cell.
#[derive(Serialize, ToSchema)]
pub struct ImportFault {
    /// The line in the file, from 1.
    pub line: u64,
    /// The column.
    pub column: String,
    /// What is wrong, and what would be right.
    pub reason: String,
}

/// Why nothing was imported (RFC 9457, with every fault).
#[derive(Serialize, ToSchema)]
pub struct ImportRefused {
    /// 422.
    pub status: u16,
    /// The kind of problem.
    pub title: &'static str,
    /// How many cells need correcting.
    pub detail: String,
    /// Each line and column with what is wrong there.
    pub errors: BTreeMap<String, String>,
    /// The faults in the order of their lines, the first 200 or those asked for.
    pub faults: Vec<ImportFault>,
    /// Faults that are not among them.
    pub more: usize,
    /// What would become of the rows nothing is wrong with, the first 200 or those asked for.
    pub row_verdicts: Vec<ImportedRow>,
    /// The `from_line` to go on with; null when every row and fault was told of.
    pub next_line: Option<u64>,
    /// Rows of the file.
    pub rows: usize,
    /// Rows something is wrong with.
    pub refused: usize,
}

fn verdicts(report: &mut Report) -> Vec<ImportedRow> {
    let row = |fate: Fate| ImportedRow {
        line: fate.line,
        what: fate.what,
        verdict: fate.verdict.as_str(),
    };
    std::mem::take(&mut report.fates).into_iter().map(row).collect()
}

fn done(mut report: Report, dry_run: bool) -> Imported {
    let next_line = report.next();
    Imported {
        dry_run,
        rows: report.rows,
        added: report.added,
        changed: report.changed,
        unchanged: report.unchanged(),
        row_verdicts: verdicts(&mut report),
        next_line,
        ignored_columns: report.ignored,
    }
}

fn refused(mut report: Report) -> ImportRefused {
    let (count, refused) = (report.count(), report.refused());
    let next_line = report.next();
    let row_verdicts = verdicts(&mut report);
    let mut errors = BTreeMap::new();
    let mut faults = Vec::new();
    for fault in report.faults {
        let (line, column, reason) = (fault.line, fault.column.into_owned(), fault.reason);
        errors.insert(format!("line {line}, {column}"), reason.clone());
        faults.push(ImportFault { line, column, reason });
    }
    let cells = if count == 1 { "1 cell needs" } else { &format!("{count} cells need") };
    ImportRefused {
        status: StatusCode::UNPROCESSABLE_ENTITY.as_u16(),
        title: "Unprocessable Entity",
        detail: format!("nothing was imported: {cells} correcting"),
        errors,
        faults,
        more: report.more,
        row_verdicts,
        next_line,
        rows: report.rows,
        refused,
    }
}

async fn import(by: &Operator, upload: Upload, params: &ImportParams, kind: Kind) -> Answer {
    let sheet = upload.0.open().await;
    let name = by.name().to_string();
    let file: String =
        params.file_name.chars().filter(|c| !crate::text::is_invisible(*c)).take(200).collect();
    let most = params.most.unwrap_or(Part::default().most);
    if !(1..=MOST_TOLD).contains(&most) {
        let why = format!("use a number from 1 to {MOST_TOLD}");
        return Err(Problem::invalid([("most".to_owned(), why)].into()));
    }
    let part = Part { from: params.from_line, most };
    let importer =
        Importer { state: by.state(), actor: by.actor(), name: &name, file: &file, part };
    let report = importer.run(kind, sheet, params.dry_run).await?;
    if report.is_clean() {
        return api::json(StatusCode::OK, &done(report, params.dry_run));
    }
    let body = serde_json::to_vec(&refused(report)).map_err(|error| Problem::fault(&error))?;
    let mut answer = HttpResponse::UnprocessableEntity();
    Ok(answer.content_type("application/problem+json").body(body))
}

/// Import subnets
///
/// The body is CSV or XLSX with the columns of the export, or as `NetBox` or `phpIPAM` exports
/// prefixes and subnets. Subnets nest as their addresses say. All rows are taken, or none.
#[utoipa::path(post, path = "/api/v1/subnets/import", operation_id = "importSubnets", tag = "Import and export",
    params(ImportParams), request_body(content_type = "application/octet-stream", content = Vec<u8>, description = "CSV or XLSX; text/csv and the type of XLSX are taken as well"),
    responses((status = 200, body = Imported), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, body = ImportRefused)))]
async fn import_subnets(by: Operator, upload: Upload, params: web::Query<ImportParams>) -> Answer {
    import(&by, upload, &params, Kind::Subnets).await
}

/// Import addresses
///
/// The body is CSV or XLSX with the columns of the export, or as `NetBox` or `phpIPAM` exports
/// addresses. An address that somebody else has is refused, not overwritten. All rows are taken,
/// or none.
#[utoipa::path(post, path = "/api/v1/addresses/import", operation_id = "importAddresses", tag = "Import and export",
    params(ImportParams), request_body(content_type = "application/octet-stream", content = Vec<u8>, description = "CSV or XLSX; text/csv and the type of XLSX are taken as well"),
    responses((status = 200, body = Imported), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, body = ImportRefused)))]
async fn import_addresses(
    by: Operator,
    upload: Upload,
    params: web::Query<ImportParams>,
) -> Answer {
    import(&by, upload, &params, Kind::Addresses).await
}

/// Import hosts
///
/// The body is CSV or XLSX with the columns of the export, or as `NetBox` or `phpIPAM` exports
/// devices. Their addresses become theirs; one that somebody else has is refused. All rows are
/// taken, or none.
#[utoipa::path(post, path = "/api/v1/hosts/import", operation_id = "importHosts", tag = "Import and export",
    params(ImportParams), request_body(content_type = "application/octet-stream", content = Vec<u8>, description = "CSV or XLSX; text/csv and the type of XLSX are taken as well"),
    responses((status = 200, body = Imported), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, body = ImportRefused)))]
async fn import_hosts(by: Operator, upload: Upload, params: web::Query<ImportParams>) -> Answer {
    import(&by, upload, &params, Kind::Hosts).await
}

impl From<BadQuery> for Problem {
    fn from(bad: BadQuery) -> Self {
        Self::invalid([(bad.field.to_owned(), bad.why)].into())
    }
}

async fn file(by: &Operator, asked: &Asked, kind: Kind) -> Answer {
    let format = asked.format()?;
    let (moment, me) = (moment(by.state()).await?, by.name().to_string());
    let rows = rows(kind, moment, by.tenant(), &me, asked).await??;
    Ok(export(format, &Spool::of(by.state()), kind.as_str(), headings(kind), rows).await?)
}

/// Export subnets
///
/// Comes back unchanged by the import.
#[utoipa::path(get, path = "/api/v1/subnets/export", operation_id = "exportSubnets", tag = "Import and export",
    params(("format" = Option<String>, Query, description = "`csv` or `xlsx`; without it CSV"),
        ("q" = Option<String>, Query, description = "Part of the name or of the site, a VLAN, an address, part of one or a CIDR; as in the list"),
        ("site" = Option<String>, Query, description = "Only those of this site"),
        ("family" = Option<String>, Query, description = "`4` or `6`")),
    responses((status = 200, body = String, content_type = "text/csv"), (status = 422, body = Problem)))]
async fn export_subnets(by: Operator, asked: web::Query<Asked>) -> Answer {
    file(&by, &asked, Kind::Subnets).await
}

/// Export addresses
///
/// Those with a row, in the order of addresses, as they were at one moment; comes back unchanged by
/// the import. Of those that are available, the free ones between two others are one row.
#[utoipa::path(get, path = "/api/v1/addresses/export", operation_id = "exportAddresses", tag = "Import and export",
    params(("format" = Option<String>, Query, description = "`csv` or `xlsx`; without it CSV"),
        ("q" = Option<String>, Query, description = "Part of an address, a CIDR, part of a MAC, a host name, a holder or a description"),
        ("subnet" = Option<String>, Query, description = "Only those in this subnet: its id or its CIDR"),
        ("status" = Option<String>, Query, description = "`available`, `allocated`, `reserved` or `quarantine`"),
        ("type" = Option<String>, Query, description = "`static` or `dhcp`"),
        ("active" = Option<String>, Query, description = "`yes` or `no`"),
        ("conflict" = Option<String>, Query, description = "`yes` or `no`"),
        ("mine" = Option<String>, Query, description = "`yes`: only those you reserved"),
        ("orphaned" = Option<String>, Query, description = "`yes`: only those in no subnet"),
        ("free" = Option<String>, Query, description = "`yes`: free addresses too, a row for those between two others")),
    responses((status = 200, body = String, content_type = "text/csv"), (status = 422, body = Problem)))]
async fn export_addresses(by: Operator, asked: web::Query<Asked>) -> Answer {
    file(&by, &asked, Kind::Addresses).await
}

/// Export hosts
///
/// Comes back unchanged by the import.
#[utoipa::path(get, path = "/api/v1/hosts/export", operation_id = "exportHosts", tag = "Import and export",
    params(("format" = Option<String>, Query, description = "`csv` or `xlsx`; without it CSV"),
        ("q" = Option<String>, Query, description = "Part of a name, an address, a MAC or a description")),
    responses((status = 200, body = String, content_type = "text/csv"), (status = 422, body = Problem)))]
async fn export_hosts(by: Operator, asked: web::Query<Asked>) -> Answer {
    file(&by, &asked, Kind::Hosts).await
}

/// These calls for the `OpenAPI` document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    import_subnets,
    import_addresses,
    import_hosts,
    export_subnets,
    export_addresses,
    export_hosts
))]
pub struct Paths;
