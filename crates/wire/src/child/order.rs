//! What is written to a child.

/// A job as its child gets it.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// What its answer has to carry.
    pub id: &'a str,
    /// JSON, as it came.
    pub payload: &'a str,
    /// What kind of work it is.
    pub kind: &'a str,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The queue it comes from.
    pub queue: Option<&'a str>,
    /// How long it may take, from the moment this is written.
    pub deadline_ms: u64,
    /// For whoever traces it.
    pub trace: Option<&'a str>,
}

impl Job<'_> {
    /// Appends the line of the plain protocol: `{"id":…,"payload":…}`.
    pub fn plain(&self, out: &mut Vec<u8>) {
        self.begin(out);
        out.extend_from_slice(b"}\n");
    }

    /// Appends the line for a child that introduced itself.
    pub fn own(&self, out: &mut Vec<u8>) {
        self.begin(out);
        out.extend_from_slice(b",\"kind\":");
        string(out, self.kind);
        out.extend_from_slice(format!(",\"attempt\":{},\"deadline_ms\":{}", self.attempt, self.deadline_ms).as_bytes());
        for (name, value) in [("queue", self.queue), ("trace", self.trace)] {
            if let Some(value) = value {
                out.extend_from_slice(b",\"");
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(b"\":");
                string(out, value);
            }
        }
        out.extend_from_slice(b"}\n");
    }

    fn begin(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":");
        string(out, self.id);
        out.extend_from_slice(b",\"payload\":");
        let from = out.len();
        out.extend_from_slice(self.payload.as_bytes());
        // JSON may stand on several lines; within its strings a newline is always escaped.
        for byte in &mut out[from..] {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
    }
}

/// Appends that a job is wanted no more.
pub fn cancel(out: &mut Vec<u8>, id: &str) {
    out.extend_from_slice(b"{\"cancel\":");
    string(out, id);
    out.extend_from_slice(b"}\n");
}

/// Appends that nothing more comes: finish, then end.
pub fn drain(out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"drain\":true}\n");
}

fn string(out: &mut Vec<u8>, text: &str) {
    let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
    }
}
