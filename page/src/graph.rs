//! What a build contains and what contains it, as a drawing: from the left to the right.

use crate::shown;
use maud::{Markup, html};

const BOX_WIDTH: usize = 250;
const BOX_HEIGHT: usize = 30;
const STEP: usize = 42;

/// The room around it, for the lines of boxes.
const MARGIN: usize = 4;

/// The room between two columns, for the lines.
const BETWEEN: usize = 75;
const NAME_MAX: usize = 32;

/// A build in the drawing.
pub struct GraphNode {
    pub name: String,
    pub address: String,
}

/// Builds on both sides of one.
pub struct Graph {
    pub contains: Vec<GraphNode>,
    pub this: GraphNode,
    pub contained_in: Vec<GraphNode>,
}

impl Graph {
    /// The drawing; nothing where the build stands alone.
    pub fn shown(&self) -> Markup {
        let rows = self.contains.len().max(self.contained_in.len());
        if rows == 0 {
            return html! {};
        }
        let height = rows * STEP + 10;
        let middle = height / 2;
        let place = |at: usize, of: usize| middle + at * STEP + STEP / 2 - of * STEP / 2;
        let left = MARGIN;
        let centre = if self.contains.is_empty() { left } else { left + BOX_WIDTH + BETWEEN };
        let right = centre + BOX_WIDTH + BETWEEN;
        let width = if self.contained_in.is_empty() { centre } else { right } + BOX_WIDTH + MARGIN;
        html! {
            section {
                h2 { "What contains what" }
                div.scroll role="region" aria-label="What contains what" tabindex="0" {
                    svg.graph width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) } role="group" aria-label="From the left to the right: what it contains, this build, and what contains it" {
                        @for at in 0..self.contains.len() { (line(left + BOX_WIDTH, place(at, self.contains.len()), centre, middle)) }
                        @for at in 0..self.contained_in.len() { (line(centre + BOX_WIDTH, middle, right, place(at, self.contained_in.len()))) }
                        @for (at, node) in self.contains.iter().enumerate() { (boxed(node, left, place(at, self.contains.len()), "part")) }
                        (boxed(&self.this, centre, middle, "this"))
                        @for (at, node) in self.contained_in.iter().enumerate() { (boxed(node, right, place(at, self.contained_in.len()), "whole")) }
                    }
                }
            }
        }
    }
}

fn line(x: usize, y: usize, to_x: usize, to_y: usize) -> Markup {
    let bend = (x + to_x) / 2;
    html! { path.edge d={ "M" (x) " " (y) " C" (bend) " " (y) " " (bend) " " (to_y) " " (to_x) " " (to_y) } {} }
}

fn boxed(node: &GraphNode, x: usize, y: usize, kind: &str) -> Markup {
    let name = shown::visible(&node.name);
    let short: String = name.chars().take(NAME_MAX).collect();
    let dots = if short.len() < name.len() { "…" } else { "" };
    html! {
        a href=(node.address) {
            title { (name) }
            rect class={ "node " (kind) } x=(x) y=(y - BOX_HEIGHT / 2) width=(BOX_WIDTH) height=(BOX_HEIGHT) rx="4" {}
            text x=(x + BOX_WIDTH / 2) y=(y + 5) text-anchor="middle" { (short) (dots) }
        }
    }
}
