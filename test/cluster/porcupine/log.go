package main

import (
	"hash/maphash"

	"github.com/anishathalye/porcupine"
)

// A record was put at the end.
type appended record

// Everything in [from, to) was read, and it was this.
type seen struct {
	from, to int64
	records  []record
}

// The log was said to end there.
type said struct {
	end int64
	// It must not have gone any further.
	exactly bool
}

// What a log is: how many of the known records it has, and the last of them.
type log struct {
	count    int
	last     record
	previous *log
	hash     uint64
}

func (s *slice) model() porcupine.Model {
	seed := maphash.MakeSeed()
	return porcupine.Model{
		Init: func() any { return (*log)(nil) },
		Step: func(state, input, _ any) (bool, any) {
			l := state.(*log)
			switch input := input.(type) {
			case appended:
				// Gaps are what nobody knows of. Nothing is put in front of what is there, nor where another is known to be.
				if l.size() == len(s.known) || s.known[l.size()] != input.offset {
					return false, state
				}
				return true, &log{l.size() + 1, record(input), l, maphash.Comparable(seed, [2]any{record(input), l.sum()})}
			case seen:
				return s.hasAllBelow(l, input.to) && l.isSeen(input), state
			case said:
				return s.hasAllBelow(l, input.end) && !(input.exactly && l != nil && l.last.offset >= input.end), state
			default:
				panic("no such operation")
			}
		},
		Equal: func(a, b any) bool { return equal(a.(*log), b.(*log)) },
		Hash:  func(state any) uint64 { return state.(*log).sum() },
	}
}

func (s *slice) hasAllBelow(l *log, offset int64) bool {
	return l.size() == len(s.known) || s.known[l.size()] >= offset
}

func (l *log) size() int {
	if l == nil {
		return 0
	}
	return l.count
}

func (l *log) sum() uint64 {
	if l == nil {
		return 0
	}
	return l.hash
}

func (l *log) isSeen(what seen) bool {
	if len(what.records) > 0 && what.records[0].offset < what.from {
		return false
	}
	for l != nil && l.last.offset >= what.to {
		l = l.previous
	}
	for i := len(what.records) - 1; i >= 0; i-- {
		if l == nil || l.last != what.records[i] {
			return false
		}
		l = l.previous
	}
	return l == nil || l.last.offset < what.from
}

func equal(a, b *log) bool {
	for a != b {
		if a == nil || b == nil || a.count != b.count || a.hash != b.hash || a.last != b.last {
			return false
		}
		a, b = a.previous, b.previous
	}
	return true
}
