// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// process is a process that a keeper started.
type process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process is gone
	err  error         // how it ended; to be read after done
}

// kill ends the process with SIGKILL and returns when it is gone. It does
// nothing when p is nil or gone already.
func (p *process) kill() {
	if p == nil {
		return
	}
	// The only error is that the process has ended.
	_ = p.cmd.Process.Kill()
	<-p.done
}

// running reports whether the process is there.
func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// gone is the error of a process that ended by itself. It ends with the last
// line of the process's log, because the log goes with the lab.
func (p *process) gone() error {
	how := p.err
	if how == nil {
		return fmt.Errorf("%s ended by itself; its last words: %s", p.name, lastLine(p.log))
	}
	return fmt.Errorf("%s ended by itself: %w; its last words: %s", p.name, how, lastLine(p.log))
}

// lastLine is the last line of a file, of at most a kilobyte.
func lastLine(name string) string {
	const most = 1024
	f, err := os.Open(name) //nolint:gosec // A log of the lab.
	if err != nil {
		return "(no log)"
	}
	defer func() { _ = f.Close() }() // It was only read.
	if info, err := f.Stat(); err == nil && info.Size() > most {
		if _, err := f.Seek(-most, io.SeekEnd); err != nil {
			return "(no log)"
		}
	}
	tail, err := io.ReadAll(f)
	if err != nil {
		return "(no log)"
	}
	tail = bytes.TrimSpace(tail)
	return string(tail[bytes.LastIndexByte(tail, '\n')+1:])
}
