package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// The log of some offsets: what was asked of it, and at which offsets anybody knows of a record.
type slice struct {
	known      []int64
	operations []porcupine.Operation
}

func sliceOf(p *partition, lowest, highest int64, fresh bool) slice {
	s := slice{}
	inside := func(offset int64) bool { return lowest <= offset && offset < highest }
	clip := func(offset int64) int64 { return min(max(offset, lowest), highest) }
	add := func(when interval, input any) {
		s.operations = append(s.operations, porcupine.Operation{Input: input, Call: when.from, Return: when.to, Metadata: when.client})
	}
	for _, r := range p.reads {
		input := seen{from: clip(r.from), to: clip(r.to)}
		for _, each := range r.records {
			if !inside(each.offset) {
				continue
			}
			input.records = append(input.records, each)
			s.known = append(s.known, each.offset)
		}
		if input.from < input.to || len(input.records) > 0 {
			add(r.interval, input)
		}
	}
	for _, each := range p.sends {
		if each.promised && inside(each.offset) {
			s.known = append(s.known, each.offset)
		}
		for when, offset := range placesOf(each, p.readAt[each.value]) {
			if inside(offset) {
				add(when, appended{offset, each.value})
			}
		}
	}
	for _, each := range p.ends {
		add(each.interval, said{clip(each.end), (each.final || fresh) && each.end < highest})
	}
	slices.Sort(s.known)
	s.known = slices.Compact(s.known)
	return s
}

// Where a send may have put its record, and when. One of unknown outcome that nobody read may be nowhere; one that is sent again
// by a producer that is not idempotent may be there again, at any time.
func placesOf(s *send, readAt []int64) func(yield func(interval, int64) bool) {
	return func(yield func(interval, int64) bool) {
		if s.failed {
			return
		}
		anyTime := interval{s.client, s.from, never}
		if s.promised && s.offset >= 0 && !yield(s.interval, s.offset) {
			return
		}
		if s.idempotent {
			if s.offset < 0 && len(readAt) > 0 {
				yield(s.interval, readAt[0])
			}
			return
		}
		for _, offset := range readAt {
			if offset != s.offset && !yield(anyTime, offset) {
				return
			}
		}
	}
}

func (s *slice) check(timeout time.Duration) (outcome, noPlaceOf string) {
	switch model := s.model(); porcupine.CheckOperationsTimeout(model, s.operations, timeout) {
	case porcupine.Ok:
		return "ok", ""
	case porcupine.Illegal:
		_, info := porcupine.CheckOperationsVerbose(model, s.operations, timeout)
		return "illegal", s.withoutPlace(info)
	default:
		return "unknown", ""
	}
}

// Of the longest order that explains a part, the operation that was over first and is not in it.
func (s *slice) withoutPlace(info porcupine.LinearizationInfo) string {
	var longest []int
	for _, order := range info.PartialLinearizations()[0] {
		if len(order) > len(longest) {
			longest = order
		}
	}
	first := porcupine.Operation{Return: never}
	for i, operation := range s.operations {
		if !slices.Contains(longest, i) && operation.Return <= first.Return {
			first = operation
		}
	}
	return describe(first)
}

func describe(operation porcupine.Operation) string {
	when := fmt.Sprintf("by %v, %d to %d µs", operation.Metadata, operation.Call, operation.Return)
	if operation.Return == never {
		when = fmt.Sprintf("by %v, from %d µs", operation.Metadata, operation.Call)
	}
	switch input := operation.Input.(type) {
	case appended:
		return fmt.Sprintf("%q at offset %d, sent %s", input.value, input.offset, when)
	case seen:
		return fmt.Sprintf("%d records from %d to before %d, read %s", len(input.records), input.from, input.to, when)
	case said:
		return fmt.Sprintf("the end %d, told %s", input.end, when)
	default:
		return "nothing"
	}
}
