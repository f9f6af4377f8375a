//! Patchbay: the control plane of a voice network.
//!
//! A request enters at `app` (the route table), passes `auth::access` (who may call it), reaches
//! its feature's `web` (page) or `api` (JSON), is parsed into the feature's `types`, decided in
//! the feature's `mod`, meets SQL only in the feature's `queries`, and leaves as a page or JSON.
//! Modules import downwards only:
//!
//! ```text
//! main -> commands -> app -> docs -> graphql, home, history -> workflows -> apply -> provision, registrations, notify -> boot -> phones
//!      -> users -> lifecycle, mirror -> ipam -> outbox -> tenants -> jobs -> auth -> api -> web -> audit, state -> models
//!      -> db, secrets, numbering, net, id, text, time; asterisk, probe and outside stand alone
//! ```

pub mod api;
pub mod app;
pub mod apply;
pub mod asterisk;
pub mod audit;
pub mod auth;
pub mod boot;
pub mod commands;
pub mod config;
pub mod db;
pub mod docs;
pub mod graphql;
pub mod history;
pub mod home;
pub mod id;
pub mod ipam;
pub mod jobs;
pub mod lifecycle;
pub mod mirror;
pub mod models;
pub mod net;
pub mod notify;
pub mod numbering;
pub mod outbox;
pub mod outside;
pub mod phones;
pub mod probe;
pub mod provision;
pub mod registrations;
pub mod secrets;
pub mod state;
pub mod tenants;
pub mod text;
pub mod time;
pub mod users;
pub mod web;
pub mod workflows;
