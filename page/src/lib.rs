//! The page for people that ogrt-server shows at `/`: HTML that the server makes, of what its own
//! API answers.
//!
//! A page asks the API's routes in the same process. So whoever may not ask a question is not shown
//! its answer either, and a page is bounded as the API is. Each page works without its script,
//! which only adds comfort. Nothing is loaded from anywhere else, and what comes out of the record
//! is text: [`shown`] is the one way of it into a page.

mod api;
mod assets;
mod chart;
mod command;
mod figures;
mod frame;
mod graph;
mod link;
mod list;
mod pages;
mod parameters;
mod period;
mod shown;
mod table;

use axum::{Router, middleware::map_response, routing::get};

/// The API's routes with the pages beside them.
pub fn with_pages(api: Router) -> Router {
    let pages = Router::new()
        .route("/", get(pages::overview::show))
        .route("/search", get(pages::search::show))
        .route("/software", get(pages::software::show))
        .route("/jobs", get(pages::jobs::show))
        .route("/job", get(pages::job::show))
        .route("/job/processes", get(pages::job::more))
        .route("/builds", get(pages::builds::show))
        .route("/build", get(pages::build::show))
        .route("/compare", get(pages::compare::show))
        .route("/unregistered", get(pages::unregistered::show))
        .route("/affected", get(pages::affected::show))
        .route("/report", get(pages::report::show))
        .route("/report.csv", get(pages::report::csv))
        .route("/jobs.csv", get(pages::jobs::csv))
        .route("/affected.csv", get(pages::affected::csv))
        .route("/builds.csv", get(pages::builds::csv))
        .route("/unregistered.csv", get(pages::unregistered::csv))
        .route(assets::STYLE, get(assets::style))
        .route(assets::SCRIPT, get(assets::script))
        .route(assets::ICON, get(assets::icon))
        .layer(map_response(frame::with_headers))
        .with_state(api::Api::new(api.clone()));
    pages.fallback_service(api)
}
