//! What workers say on their command pipes: answers to questions and to words, events, metrics, and questions.

use evercrew_core::fleet::WorkerId;
use evercrew_core::gather::AskId;
use evercrew_wire::command_pipe::{self, Answer, MAX_LINE, MAX_WRITTEN, Question, Said};
use evercrew_wire::supervisor::Label;
use serde_json::{Value, json};

use crate::crew::Process;
use crate::hub::{self, ask_of};
use crate::manager::Manager;
use crate::notices::Level;
use crate::status;
use crate::words::{Heard, Spoken};

/// The longest content that an event keeps, in bytes.
const LONGEST: usize = 4096;
/// The longest message, in characters.
const LONGEST_MESSAGE: usize = 1000;
/// What a worker may ask.
const KNOWN: &str = "a worker may ask for status and version";

impl Manager {
    /// A worker's line was read and is heard at once.
    pub(crate) fn worker_spoke(&mut self, worker: WorkerId, heard: Heard) {
        let Some(process) = self.crew.processes.get(&worker) else { return };
        let (label, pid) = (process.label.clone(), process.pid);
        self.worker_said(Spoken { worker, label, pid, heard });
    }

    pub(crate) fn worker_said(&mut self, spoken: Spoken) {
        let Spoken { worker, label, pid, heard } = spoken;
        match heard {
            Heard::Line(said, size) => match *said {
                Said::Answer(answer) => match answer.id.as_ref().and_then(ask_of).filter(|ask| hub::is_ours(*ask)) {
                    Some(ask) => self.answered(worker, ask, answer, size),
                    None => self.told_by(&label, pid, &answer),
                },
                Said::Event(event) => self.happened(&label, pid, &event),
                Said::Metrics(metrics) => self.measured(worker, &label, metrics),
                Said::Question(question) => self.asked_by(worker, &question),
            },
            Heard::Noise | Heard::TooLong(None) => self.noise(worker, &label, pid),
            Heard::TooLong(Some(number)) => {
                let answer = Answer { id: None, status: "ok".to_owned(), message: String::new(), content: Value::Null };
                self.answered(worker, AskId(number), answer, MAX_LINE + 1);
            }
            Heard::Closed => self.closed_its_pipe(worker),
            Heard::End => self.left(worker),
        }
    }

    /// An answer to a word, or to nothing.
    fn told_by(&mut self, label: &Label, pid: u32, answer: &Answer) {
        let (status, message) = (excerpt(&answer.status), excerpt(&answer.message));
        let mut fields = fields(label, pid);
        fields["status"] = json!(status);
        fields["message"] = json!(message);
        for (key, value) in [("id", answer.id.as_ref()), ("content", Some(&answer.content))] {
            if let Some(value) = value.filter(|value| value.to_string().len() <= LONGEST) {
                fields[key] = value.clone();
            }
        }
        let words = if message.is_empty() { status } else { format!("{status}: {message}") };
        let words = format!("{} answers {}", label.name, words.replace(char::is_control, " "));
        self.tell(Level::Info, "worker.answered", fields, &words);
    }

    /// Something happened in a worker.
    fn happened(&mut self, label: &Label, pid: u32, event: &command_pipe::Event) {
        let (name, message) = (excerpt(&event.event), excerpt(&event.message));
        let mut fields = fields(label, pid);
        fields["name"] = json!(name);
        fields["message"] = json!(message);
        if event.content.to_string().len() <= LONGEST {
            fields["content"] = event.content.clone();
        }
        let words = if message.is_empty() { name } else { format!("{name}: {message}") };
        let words = format!("{}: {}", label.name, words.replace(char::is_control, " "));
        self.tell(Level::Info, "worker.event", fields, &words);
    }

    /// A worker asks how things stand; it may only look.
    fn asked_by(&mut self, worker: WorkerId, question: &Question) {
        let content = match question.verb.as_str() {
            "status" => {
                let names: Vec<String> = serde_json::from_value(question.args["names"].clone()).unwrap_or_default();
                let mut services: Vec<_> = names.iter().filter_map(|name| self.crew.find(name)).collect();
                if names.is_empty() {
                    services = self.services();
                }
                Ok(status::document(&self.fleet, &self.crew, &self.engine, &mut self.samples, &services))
            }
            "version" => Ok(json!({"version": env!("CARGO_PKG_VERSION")})),
            other => Err(format!("unknown verb `{other:.40}`: {KNOWN}")),
        };
        let id = Some(json!(question.id));
        let answer = match content {
            Ok(content) if content.to_string().len() > MAX_WRITTEN - 1024 => {
                let message = "the answer is longer than a line may be: name fewer services".to_owned();
                Answer { id, status: "failure".to_owned(), message, content: Value::Null }
            }
            Ok(content) => Answer { id, status: "ok".to_owned(), message: String::new(), content },
            Err(message) => Answer { id, status: "failure".to_owned(), message, content: Value::Null },
        };
        let Some(process) = self.crew.processes.get(&worker) else { return };
        if let Err(reason) = process.write(&command_pipe::json_line(&answer)) {
            let words = format!("a question of {} is not answered: {reason}", process.label.name);
            self.write_log(Level::Warn, &words);
        }
    }

    fn noise(&mut self, worker: WorkerId, label: &Label, pid: u32) {
        let Some(process) = self.crew.processes.get_mut(&worker) else { return };
        process.noise += 1;
        if process.noise == 1 {
            let name = &label.name;
            let words = format!("{name} wrote a line that is no answer on its command pipe; such lines are counted");
            self.tell(Level::Warn, "worker.noise", fields(label, pid), &words);
        }
    }

    /// A process is gone; what it wrote for nobody is told.
    pub(crate) fn tell_noise(&mut self, process: &Process) {
        if process.noise > 1 {
            let (name, count) = (&process.label.name, process.noise);
            let words = format!("{name} wrote {count} lines that were no answers on its command pipe");
            self.write_log(Level::Warn, &words);
        }
    }
}

/// Which process it is, as events say it.
pub(crate) fn fields(label: &Label, pid: u32) -> Value {
    json!({"service": label.service, "worker": label.name, "generation": label.generation, "pid": pid})
}

fn excerpt(text: &str) -> String {
    text.chars().take(LONGEST_MESSAGE).collect()
}
