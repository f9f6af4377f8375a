//! The pages: what is to be said to systems outside, and how each is set up.

mod allowed;
mod calls;
mod nas;
mod systems;

use crate::auth::Right;
use crate::auth::access::{Access, Route};

/// Every page.
pub fn routes() -> Vec<Route> {
    let (read, manage) = (Access::Page(Right::Read), Access::Page(Right::ManageAddresses));
    let (admin, host) = (Access::Page(Right::Administer), Access::HostPage(Right::Administer));
    vec![
        Route::get("/outbox", read, calls::index),
        Route::get("/outbox/table", read, calls::table),
        Route::get("/outbox/of/{kind}/{id}", read, calls::of),
        Route::post("/outbox/retries", manage, calls::retry_all),
        Route::post("/outbox/{call}/retry", manage, calls::retry),
        Route::post("/outbox/{call}/drop", manage, calls::give_up),
        Route::get("/settings/outside", admin, systems::index),
        Route::get("/settings/outside/radius", admin, systems::radius),
        Route::post("/settings/outside/radius", admin, systems::save_radius),
        Route::get("/settings/outside/dhcp", admin, systems::dhcp),
        Route::post("/settings/outside/dhcp", admin, systems::save_dhcp),
        Route::get("/settings/outside/netbox", admin, systems::netbox),
        Route::post("/settings/outside/netbox", admin, systems::save_netbox),
        Route::post("/settings/outside/{system}/test", admin, systems::test),
        Route::post("/settings/outside/nas", admin, nas::add),
        Route::get("/settings/outside/nas/{nas}", admin, nas::show),
        Route::post("/settings/outside/nas/{nas}", admin, nas::save),
        Route::post("/settings/outside/nas/{nas}/removal", admin, nas::remove),
        Route::get("/settings/outside/allowed", host, allowed::index),
        Route::post("/settings/outside/allowed", host, allowed::allow),
        Route::post("/settings/outside/allowed/removal", host, allowed::disallow),
    ]
}
