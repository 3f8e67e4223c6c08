// The socket to /ws/live: subscribes by topic and last number seen, comes back by itself, shows how it stands.

const RECONNECTING_AFTER_MS = 5_000;
const STALE_AFTER_MS = 30_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

export class Connection {
  constructor({ topics, receive }) {
    this.topics = topics;
    this.receive = receive;
    this.subscribed = new Set();
    this.closedTopics = new Set();
    this.state = "connecting";
    this.wait = FIRST_WAIT_MS;
    this.lostAt = performance.now();
    setInterval(() => this.show(), 1000);
  }

  open() {
    if (this.socket && this.socket.readyState <= WebSocket.OPEN) return;
    clearTimeout(this.timer);
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/ws/live`);
    this.socket = socket;
    this.subscribed.clear();
    socket.addEventListener("open", () => this.opened());
    socket.addEventListener("message", (event) => this.message(event));
    socket.addEventListener("close", () => this.lost(socket));
  }

  opened() {
    this.wait = FIRST_WAIT_MS;
    this.lostAt = null;
    this.subscribe();
    this.show();
  }

  message(event) {
    const answer = JSON.parse(event.data);
    if (answer.closed) this.closedTopics.add(answer.topic);
    this.receive(answer);
  }

  lost(socket) {
    if (socket !== this.socket) return;
    this.lostAt ??= performance.now();
    const jitter = 0.75 + Math.random() / 2;
    this.timer = setTimeout(() => this.open(), this.wait * jitter);
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MS);
    this.show();
  }

  subscribe() {
    const topics = this.topics();
    if (topics.size && !this.socket) this.open();
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    for (const [topic, after] of topics) {
      if (this.subscribed.has(topic) || this.closedTopics.has(topic)) continue;
      this.subscribed.add(topic);
      this.socket.send(JSON.stringify({ subscribe: topic, after }));
    }
  }

  show() {
    const gone = this.lostAt === null ? 0 : performance.now() - this.lostAt;
    if (this.lostAt === null) this.state = "live";
    else if (gone >= STALE_AFTER_MS) this.state = "stale";
    else if (gone >= RECONNECTING_AFTER_MS) this.state = "reconnecting";
    document.body.dataset.connection = this.state;
    for (const place of document.querySelectorAll("[data-connection-text]")) draw(place, this.state, gone);
  }
}

function draw(place, state, gone) {
  if (state === "connecting") return;
  const text = (place.dataset[state] ?? "").replace("{seconds}", String(Math.round(gone / 1000)));
  const label = place.querySelector("span") ?? place;
  place.hidden = false;
  place.dataset.state = state;
  if (label.textContent !== text) label.textContent = text;
}
