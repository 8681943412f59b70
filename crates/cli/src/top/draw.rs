//! How it looks.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Cell, Clear, Paragraph, Row as TableRow, Table, TableState, Wrap};

use super::columns::{self, COLUMNS, TITLES};
use super::model::{Mode, Model, Row};
use crate::table;

/// The smallest terminal in which anything can be told from anything.
const SMALLEST: (u16, u16) = (40, 8);
const KEYS: &str = "↑↓ select  r restart  s stop/start  +/- scale  k signal  l logs  / filter  ? help  q quit";
const HELP: &str = "\
↑ ↓ PgUp PgDn Home End   select a service or worker
r   restart it: workers are replaced one by one
s   stop the service, or start one that is stopped
+ - one worker more or less
k   send a signal: type its name, then Enter
l   its log lines instead of events; again to close
/   show only names that contain a text; Esc shows all
q   quit; the engine goes on

What changes something is asked for once more: y does it.
Any key closes this.";

/// Draws all of it.
pub(crate) fn draw(frame: &mut Frame<'_>, model: &Model, color: bool) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let text =
            format!("{}x{} is too small, {}x{} is enough (q quits)", area.width, area.height, SMALLEST.0, SMALLEST.1);
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
        return;
    }
    let pane = match area.height {
        ..12 => 0,
        12..18 => 5,
        height => height / 3,
    };
    let parts = [
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(3),
        Constraint::Length(pane),
        Constraint::Length(1),
    ];
    let [title, summary, crew, below, foot] = Layout::vertical(parts).areas(area);
    frame.render_widget(Paragraph::new(title_line(model, color)), title);
    frame.render_widget(Paragraph::new(summary_line(model)), summary);
    draw_crew(frame, model, color, crew);
    if pane > 0 {
        draw_pane(frame, model, below);
    }
    frame.render_widget(Paragraph::new(foot_line(model, color)), foot);
    if model.mode == Mode::Help {
        let over = Rect { y: title.y + 1, height: area.height - 1, ..area };
        frame.render_widget(Clear, over);
        frame.render_widget(Paragraph::new(HELP).block(Block::bordered().title(" keys ")), over);
    }
}

fn tint(color: bool, tint: Color) -> Style {
    if color { Style::new().fg(tint) } else { Style::new() }
}

fn of_state(state: &str, color: bool) -> Style {
    match state {
        "ready" => tint(color, Color::Green),
        "starting" | "degraded" | "draining" | "stopping" | "backoff" => tint(color, Color::Yellow),
        "failed" => tint(color, Color::Red).add_modifier(Modifier::BOLD),
        _ => Style::new(),
    }
}

fn title_line(model: &Model, color: bool) -> Line<'static> {
    if let Some(why) = &model.broken {
        let style = tint(color, Color::Red).add_modifier(Modifier::REVERSED);
        return Line::styled(format!("NOT CONNECTED, trying again: {why}"), style);
    }
    let document = &model.document;
    let text = |field: &str| document[field].as_str().unwrap_or_default();
    let text = format!(
        "evercrew {}  {}  supervisor {}  manager {} (generation {})  revision {}",
        text("version"),
        text("directory"),
        table::number(&document["supervisor"], "pid"),
        table::number(&document["manager"], "pid"),
        table::number(&document["manager"], "generation"),
        table::number(document, "revision"),
    );
    Line::styled(text, Style::new().add_modifier(Modifier::BOLD))
}

fn summary_line(model: &Model) -> String {
    let services: Vec<_> = model.document["services"].as_array().into_iter().flatten().collect();
    let sum = |field: &str| services.iter().filter_map(|service| service[field].as_u64()).sum::<u64>();
    let ready = services.iter().filter(|service| service["state"] == "ready").count();
    let filter = if model.filter.is_empty() { String::new() } else { format!("  names with `{}`", model.filter) };
    format!(
        "{ready} of {} services ready  {} of {} workers  {} restarts/min  {} events/min{filter}",
        services.len(),
        sum("ready"),
        sum("wanted"),
        model.rates.restarts,
        model.rates.events,
    )
}

fn draw_crew(frame: &mut Frame<'_>, model: &Model, color: bool, area: Rect) {
    let rows = model.rows();
    let wide = |column: usize| {
        let cells = rows.iter().map(|row| row.cells[column].chars().count());
        cells.chain([TITLES[column].len()]).max().unwrap_or_default()
    };
    let widths: [usize; COLUMNS] = std::array::from_fn(wide);
    let kept = columns::fitting(widths, usize::from(area.width));
    let lengths = kept.iter().map(|(_, width)| Constraint::Length(u16::try_from(*width).unwrap_or(u16::MAX)));
    let head = kept.iter().map(|(column, _)| TITLES[*column]);
    // What was last known is not to be taken for what is.
    let stale = if model.broken.is_some() { Modifier::DIM } else { Modifier::empty() };
    let line = |row: &Row| {
        let cells = kept.iter().map(|(column, _)| {
            let style = if *column == 1 { of_state(&row.state, color) } else { Style::new() };
            Cell::new(row.cells[*column].clone()).style(style)
        });
        TableRow::new(cells.collect::<Vec<_>>()).style(Style::new().add_modifier(stale))
    };
    let gap = u16::try_from(columns::GAP).unwrap_or_default();
    let table = Table::new(rows.iter().map(line), lengths.collect::<Vec<_>>())
        .header(TableRow::new(head).style(Style::new().add_modifier(Modifier::UNDERLINED)))
        .column_spacing(gap)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected(model.selected(&rows));
    frame.render_stateful_widget(table, area, &mut state);
}

fn draw_pane(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let title = match model.wanted_lines() {
        Some((_, name)) => format!(" log of {name} "),
        None if model.logs => " log ".to_owned(),
        None => " events ".to_owned(),
    };
    let room = usize::from(area.height.saturating_sub(1));
    let lines: Vec<Line<'_>> = if model.logs {
        let first = model.lines.len().saturating_sub(room);
        model.lines[first..].iter().map(|line| Line::raw(line.as_str())).collect()
    } else {
        let first = model.events.len().saturating_sub(room);
        model.events.iter().skip(first).map(|event| Line::raw(table::event(event))).collect()
    };
    frame.render_widget(Paragraph::new(lines).block(Block::new().borders(Borders::TOP).title(title)), area);
}

fn foot_line(model: &Model, color: bool) -> Line<'static> {
    let asking = Style::new().add_modifier(Modifier::BOLD);
    match (&model.mode, &model.said) {
        (Mode::Confirming(order), _) => Line::styled(format!("{order}? y does it, any other key does not"), asking),
        (Mode::Signalling { name, typed }, _) => {
            Line::styled(format!("signal to {name}: {typed}_  (Enter sends it, Esc does not)"), asking)
        }
        (Mode::Filtering, _) => {
            Line::styled(format!("names with: {}_  (Enter keeps it, Esc shows all)", model.filter), asking)
        }
        (Mode::Watching | Mode::Help, Some(said)) => {
            let style = if said.good { Style::new() } else { tint(color, Color::Red) };
            Line::styled(said.text.clone(), style)
        }
        (Mode::Watching | Mode::Help, None) => Line::raw(KEYS),
    }
}

#[cfg(test)]
mod tests;
