//! Patchbay from outside: what a person, a script and the log see, on both databases.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::similar_names,
    clippy::format_collect,
    clippy::type_complexity,
    clippy::unnecessary_debug_formatting,
    clippy::explicit_iter_loop,
    clippy::too_many_lines
)]

#[path = "../support/mod.rs"]
mod support;

mod api;
mod audit;
mod boot;
mod commands;
mod concurrency;
mod database;
mod deep_pages;
mod dependencies;
mod flush;
mod graphql;
mod hostile;
mod hostile_phones;
mod import;
mod ipam_address_history;
mod ipam_address_list;
mod ipam_address_many;
mod ipam_address_next;
mod ipam_addresses;
mod ipam_exchange;
mod ipam_exchange_broken;
mod ipam_hosts;
mod ipam_kills;
mod ipam_model;
mod ipam_observe;
mod ipam_observe_leases;
mod ipam_observe_names;
mod ipam_observe_sweeps;
mod ipam_populate;
mod ipam_report;
mod ipam_rush;
mod ipam_subnet_changes;
mod ipam_subnet_tree;
mod ipam_subnets;
mod jobs;
mod later;
mod lifecycle;
mod lifecycle_addresses;
mod lifecycle_faults;
mod lifecycle_figures;
mod lifecycle_holders;
mod lifecycle_model;
mod lifecycle_outside;
mod lifecycle_pages;
mod lifecycle_states;
mod notify;
mod outbox;
mod outside_faults;
mod outside_netbox;
mod outside_peers;
mod outside_settings;
mod phones;
mod phones_api;
mod phones_import;
mod phones_site;
mod phones_told;
mod phones_web;
mod provision;
mod provision_pages;
mod provision_tftp;
mod registrations;
mod routes;
mod routes_around;
mod routes_network;
mod routes_office;
mod routes_target;
mod sign_in;
mod statements;
mod tenants;
mod together;
mod users;
mod workflows;
mod workflows_broken_off;
mod workflows_pages;
mod workflows_phones;
mod workflows_undone;
