//! Produce requests as fast as the broker takes them, with so many unanswered on each connection.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use mio::{Events, Poll};
use serde::Serialize;

use crate::Failure;
use crate::connection::Connection;
use crate::job::Batches;
use crate::latencies::{Latencies, Summary};
use crate::requests::ProduceRequest;
use crate::started::wait_for_start;
use crate::wire;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Produced {
    pub requests: u64,
    pub batches: u64,
    pub records: u64,
    /// Of the batches, as the broker stores them.
    pub bytes: u64,
    /// Of the records' values.
    pub value_bytes: u64,
    pub seconds: f64,
    /// Between handing a request to the socket and its answer; none with acks 0.
    pub latencies: Option<Summary>,
}

pub struct Limits {
    pub in_flight: usize,
    pub seconds: f64,
    pub max_bytes: u64,
    pub max_requests: Option<u64>,
}

struct Sender {
    connection: Connection,
    /// When each unanswered request was sent, and which it was.
    unanswered: VecDeque<(Instant, usize)>,
    next: usize,
    /// With acks 0: the last request, which is answered, is sent.
    asks_for_end: bool,
    is_done: bool,
}

struct Load<'a> {
    requests: Vec<ProduceRequest>,
    acks: i16,
    limits: &'a Limits,
    started: Instant,
    deadline: Instant,
    sent_bytes: u64,
    sent_requests: u64,
    sent_batches: u64,
    latencies: Latencies,
}

pub fn produce(
    batches: &Batches,
    address: &str,
    connections: usize,
    limits: &Limits,
) -> Result<Produced, Failure> {
    let mut poll = Poll::new()?;
    let requests = batches.requests()?;
    let mut senders = (0..connections)
        .map(|index| {
            Ok(Sender {
                connection: Connection::open(address, &poll, index)?,
                unanswered: VecDeque::new(),
                next: index % requests.len(),
                asks_for_end: false,
                is_done: false,
            })
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    wait_for_start()?;
    let started = Instant::now();
    let mut load = Load {
        requests,
        acks: batches.acks,
        limits,
        started,
        deadline: started + Duration::from_secs_f64(limits.seconds),
        sent_bytes: 0,
        sent_requests: 0,
        sent_batches: 0,
        latencies: Latencies::new(),
    };
    for sender in &mut senders {
        load.fill(sender)?;
    }
    let mut events = Events::with_capacity(1024);
    // Where the time is over before all have begun, some have nothing to do.
    while senders.iter().any(|sender| !sender.is_done) {
        poll.poll(&mut events, None).or_else(|error| match error.kind() {
            std::io::ErrorKind::Interrupted => Ok(()),
            _ => Err(error),
        })?;
        for event in &events {
            let sender = &mut senders[event.token().0];
            if sender.is_done {
                continue;
            }
            sender.connection.flush()?;
            load.answers(sender)?;
            load.fill(sender)?;
        }
    }
    let records = load.sent_batches * batches.records_per_batch as u64;
    Ok(Produced {
        requests: load.sent_requests,
        batches: load.sent_batches,
        records,
        bytes: load.sent_bytes,
        value_bytes: records * batches.record_bytes as u64,
        seconds: load.started.elapsed().as_secs_f64(),
        latencies: load.latencies.summary()?,
    })
}

impl Load<'_> {
    fn is_over(&self) -> bool {
        self.sent_bytes >= self.limits.max_bytes
            || self.limits.max_requests.is_some_and(|most| self.sent_requests >= most)
            || Instant::now() >= self.deadline
    }

    /// Sends what may be sent now.
    fn fill(&mut self, sender: &mut Sender) -> Result<(), Failure> {
        loop {
            let may_send = match self.acks {
                0 => sender.connection.is_flushed(),
                _ => sender.unanswered.len() < self.limits.in_flight,
            };
            if sender.asks_for_end || !may_send {
                return Ok(());
            }
            // Everybody sends something, however short the time is.
            if self.is_over() && self.sent_requests > 0 {
                return self.end(sender);
            }
            let request = &self.requests[sender.next];
            self.sent_requests += 1;
            self.sent_batches += request.partitions as u64;
            self.sent_bytes += request.batch_bytes as u64;
            if self.acks != 0 {
                sender.unanswered.push_back((Instant::now(), sender.next));
            }
            sender.next = (sender.next + 1) % self.requests.len();
            sender.connection.send(request.frame.clone())?;
        }
    }

    /// Requests of one connection are taken in turn: what is answered last came after everything else.
    fn end(&mut self, sender: &mut Sender) -> Result<(), Failure> {
        if self.acks == 0 {
            sender.asks_for_end = true;
            sender.connection.send(wire::api_versions().into())?;
        } else if sender.unanswered.is_empty() {
            sender.is_done = true;
        }
        Ok(())
    }

    fn answers(&mut self, sender: &mut Sender) -> Result<(), Failure> {
        let Self { requests, latencies, .. } = self;
        let Sender { connection, unanswered, asks_for_end, is_done, .. } = sender;
        connection.receive(|response| match unanswered.pop_front() {
            Some((sent, request)) => {
                latencies.record(sent.elapsed())?;
                wire::check_produced(response, requests[request].partitions)
            }
            None if *asks_for_end => {
                *is_done = true;
                Ok(())
            }
            None => Err("an answer came that nobody waits for".into()),
        })
    }
}
