package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
)

// What of an event is needed here; test/cluster/history/README.md has the whole.
type event struct {
	Time      int64
	Client    string
	Type      string
	Operation int64
	Call      string
	// A producer's settings.
	Producer *struct {
		Acks       any
		Idempotent bool
	}
	Consumer *struct {
		Final bool
	}
	Partition string
	Value     string
	Offset    *int64
	Records   map[string][]record
	// Null where it is not known.
	Positions  map[string]*int64
	Partitions []string
	Ends       map[string][2]int64
}

type record struct {
	offset int64
	value  string
}

func (r *record) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[2]any{&r.offset, &r.value})
}

const never = math.MaxInt64

// When something was asked and answered, and by whom.
type interval struct {
	client   string
	from, to int64
}

type send struct {
	interval
	value      string
	promised   bool
	idempotent bool
	failed     bool
	// Where it was acknowledged, or -1.
	offset int64
}

// A reader was at from, and then at to; in between are these records.
type read struct {
	interval
	from, to int64
	records  []record
}

type ends struct {
	interval
	end int64
	// Nothing was written any more.
	final bool
}

type partition struct {
	name  string
	start int64
	sends []*send
	reads []read
	ends  []ends
	// By value, where it was read.
	readAt map[string][]int64
}

// The end of all offsets of which anybody knows.
func (p *partition) end() int64 {
	end := p.start
	for _, s := range p.sends {
		if s.promised {
			end = max(end, s.offset+1)
		}
	}
	for _, r := range p.reads {
		end = max(end, r.to)
	}
	return end
}

type client struct {
	started   event
	invoked   map[int64]event
	sends     map[int64]*send
	positions map[string]int64
}

type history struct {
	clients map[string]*client
	byName  map[string]*partition
}

func readHistory(files []string) (*history, error) {
	var events []event
	if len(files) == 0 {
		text, err := io.ReadAll(os.Stdin)
		if err != nil {
			return nil, err
		}
		if events, err = appendEvents(events, "standard input", text); err != nil {
			return nil, err
		}
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if events, err = appendEvents(events, file, text); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return int(a.Time - b.Time) })
	h := &history{map[string]*client{}, map[string]*partition{}}
	for _, e := range events {
		if err := h.take(e); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// A last line without its end is what a killed program had begun to write.
func appendEvents(events []event, file string, text []byte) ([]event, error) {
	lines := bytes.Split(text, []byte("\n"))
	for i, line := range lines[:len(lines)-1] {
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, i+1, err)
		}
		events = append(events, e)
	}
	return events, nil
}

func (h *history) partitions() []*partition {
	var all []*partition
	for _, p := range h.byName {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *partition) int { return strings.Compare(a.name, b.name) })
	return all
}

func (h *history) partition(name string) *partition {
	if h.byName[name] == nil {
		h.byName[name] = &partition{name: name, readAt: map[string][]int64{}}
	}
	return h.byName[name]
}

func (h *history) take(e event) error {
	if e.Type == "start" {
		h.clients[e.Client] = &client{e, map[int64]event{}, map[int64]*send{}, map[string]int64{}}
		return nil
	}
	c := h.clients[e.Client]
	if c == nil {
		return fmt.Errorf("%s did something before its start", e.Client)
	}
	switch e.Type {
	case "invoke":
		return h.invoked(c, e)
	case "ok", "fail":
		h.ended(c, e)
	case "seek":
		delete(c.positions, e.Partition)
		if e.Offset != nil {
			c.positions[e.Partition] = *e.Offset
		}
	case "assigned":
		for name, position := range e.Positions {
			delete(c.positions, name)
			if position != nil {
				c.positions[name] = *position
			}
		}
	case "revoked":
		for _, name := range e.Partitions {
			delete(c.positions, name)
		}
	}
	return nil
}

func (h *history) invoked(c *client, e event) error {
	c.invoked[e.Operation] = e
	if e.Call != "produce" {
		return nil
	}
	producer := c.started.Producer
	if producer == nil {
		return fmt.Errorf("%s sends something and is no producer", e.Client)
	}
	s := &send{interval: interval{e.Client, e.Time, never}, value: e.Value, idempotent: producer.Idempotent, offset: -1}
	c.sends[e.Operation] = s
	p := h.partition(e.Partition)
	p.sends = append(p.sends, s)
	return nil
}

func (h *history) ended(c *client, e event) {
	when := interval{e.Client, c.invoked[e.Operation].Time, e.Time}
	if s := c.sends[e.Operation]; s != nil {
		s.failed = e.Type == "fail"
		// Without acks=all it may be taken back.
		s.promised = e.Type == "ok" && c.started.Producer.Acks == "all"
		if s.promised {
			s.to = e.Time
		}
		if s.promised && e.Offset != nil {
			s.offset = *e.Offset
		}
	}
	if e.Records != nil {
		h.polled(c, when, e)
	}
	for name, listed := range e.Ends {
		final := c.started.Consumer != nil && c.started.Consumer.Final
		p := h.partition(name)
		p.ends = append(p.ends, ends{when, listed[1], final})
		if final {
			// What lies in front of it may have been deleted before.
			p.start = listed[0]
		}
	}
}

func (h *history) polled(c *client, when interval, e event) {
	for name, records := range e.Records {
		if len(records) > 0 {
			h.readOn(c, when, name, records, records[len(records)-1].offset+1)
		}
	}
	for name, position := range e.Positions {
		if from, known := c.positions[name]; known && from < *position {
			h.readOn(c, when, name, nil, *position)
		}
		c.positions[name] = *position
	}
}

func (h *history) readOn(c *client, when interval, name string, records []record, to int64) {
	from, known := c.positions[name]
	if !known {
		from = records[0].offset
	}
	p := h.partition(name)
	p.reads = append(p.reads, read{when, from, to, records})
	for _, each := range records {
		if !slices.Contains(p.readAt[each.value], each.offset) {
			p.readAt[each.value] = append(p.readAt[each.value], each.offset)
		}
	}
	c.positions[name] = to
}
