// SPDX-FileCopyrightText: The Viaduct Authors
// SPDX-License-Identifier: Apache-2.0

package tkc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/types"

	"github.com/viaduct-sdk/viaduct"
	"github.com/viaduct-sdk/viaduct/internal/poll"
)

// WriteFile writes the kubeconfig to a file of its own, with mode 0600 and in one
// step: whoever reads meanwhile finds the old file or the new one, complete. A
// file of the same content is left alone but for its mode. Directories that are
// missing are made.
//
// The error matches [viaduct.ErrNotOwned] when the file is there and has entries
// that are not of this TK cluster and this package's: [Kubeconfig.MergeFile] is
// for those.
func (k Kubeconfig) WriteFile(ctx context.Context, path string) error {
	_, err := edit(ctx, path, func(old *yaml.Node) (*yaml.Node, error) {
		if old != nil {
			remove(old, k.owner)
			for _, list := range []string{"clusters", "users", "contexts"} {
				if l := get(old, list); l != nil && len(l.Content) > 0 {
					return nil, fmt.Errorf("tkc: write kubeconfig: the file has other entries: %w", viaduct.ErrNotOwned)
				}
			}
		}
		return k.file(k.names(MergeOptions{}))
	})
	return err
}

// MergeFile adds the kubeconfig to a file, or brings what it added before up to
// date, and reports whether it wrote the file. Everything else in the file stays:
// other contexts, fields that are not known, order and comments; indentation may
// change. It writes as [Kubeconfig.WriteFile] does, and keeps kubectl from writing
// at the same time by its lock file, for which it waits until ctx ends.
//
// The entries bear a mark (the extension viaduct-sdk.github.io/source), by which
// they are known as ours later. One that has none and says the same is left as it
// is. The namespace of a context stays as the user has set it.
//
// Errors match [viaduct.ErrNotOwned] when an entry of one of the names is not ours
// and leads elsewhere: choose another name; [viaduct.ErrInvalid] when the file is
// no kubeconfig, or has YAML that can't be kept (aliases, tags, several
// documents). The file is unchanged then.
func (k Kubeconfig) MergeFile(ctx context.Context, path string, opts MergeOptions) (changed bool, err error) {
	n := k.names(opts)
	return edit(ctx, path, func(file *yaml.Node) (*yaml.Node, error) {
		if file == nil {
			return k.file(n)
		}
		if err := k.insert(file, n); err != nil {
			return nil, err
		}
		if current := get(file, "current-context"); opts.SetCurrent || current == nil || current.Value == "" {
			set(file, "current-context", text(n.context))
		}
		return file, nil
	})
}

// UnmergeFile takes out of a kubeconfig file what [Kubeconfig.MergeFile] added for
// a TK cluster, under whichever names, and reports whether it wrote the file. When
// there is nothing, or no file, it does nothing. The current context is emptied if
// it was one of those.
func UnmergeFile(ctx context.Context, path string, cluster types.NamespacedName) (changed bool, err error) {
	return edit(ctx, path, func(file *yaml.Node) (*yaml.Node, error) {
		if file == nil || !remove(file, cluster.String()) {
			return nil, nil
		}
		return file, nil
	})
}

// edit replaces a kubeconfig file by what change makes of it. change gets nil when
// there is no file, or an empty one, and may return nil to leave it so.
func edit(ctx context.Context, path string, change func(*yaml.Node) (*yaml.Node, error)) (bool, error) {
	path, err := target(path)
	if err != nil {
		return false, fileError(err)
	}
	unlock, err := lock(ctx, path)
	if err != nil {
		return false, fileError(err)
	}
	defer unlock()
	data, err := os.ReadFile(path) //nolint:gosec // the file that the caller names
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fileError(err)
	}
	exists := err == nil
	var root *yaml.Node
	if len(bytes.TrimSpace(data)) > 0 {
		n, err := readDocument(data)
		if err != nil {
			return false, err
		}
		root = n.yaml
	}
	changed, err := change(root)
	if err != nil || changed == nil {
		return false, err
	}
	after, err := encode(changed)
	if err != nil {
		return false, err
	}
	if exists && unchanged(data, after) {
		return false, fileError(os.Chmod(path, fileMode))
	}
	return true, fileError(replace(path, after))
}

const (
	fileMode = 0o600
	dirMode  = 0o700
)

// unchanged reports whether a file says what it would after.
func unchanged(before, after []byte) bool {
	a, err := readDocument(before)
	if err != nil {
		return false
	}
	b, err := readDocument(after)
	return err == nil && same(a.yaml, b.yaml)
}

// target returns the file that path leads to, so that a link is not replaced by a
// file, and makes its directory.
func target(path string) (string, error) {
	if path == "" {
		return "", fmt.Errorf("%w: no path", viaduct.ErrInvalid)
	}
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if _, err := os.Lstat(path); err == nil {
		return "", fmt.Errorf("%w: the path is a link that leads nowhere", viaduct.ErrInvalid)
	}
	return path, os.MkdirAll(filepath.Dir(path), dirMode)
}

// lock takes the lock that kubectl takes before it writes.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	name := path + ".lock"
	err = poll.Until(ctx, func(context.Context) (string, bool, error) {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL, 0) //nolint:gosec // beside the file that the caller names
		if errors.Is(err, fs.ErrExist) {
			return "somebody else holds " + name, false, nil
		}
		if err != nil {
			return "", false, err
		}
		return "", true, f.Close()
	})
	if err != nil {
		return nil, err
	}
	return func() { _ = os.Remove(name) }, nil // nothing to do about it, and the next one will name the file
}

// replace puts data in the place of a file, in one step.
func replace(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".kubeconfig-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Chmod(fileMode), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

func fileError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("tkc: write kubeconfig: %w", err)
}
