package app

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/nixfleet/nixfleet/db"
)

// Kept says where a server keeps what is backed up.
type Kept struct {
	DataDir     string `help:"Where the server keeps its keys and its private Postgres." env:"NIXFLEET_DATA_DIR" default:"/var/lib/nixfleet" type:"path"`
	DatabaseURL string `help:"Address of its Postgres database. Default: the private Postgres in the data directory." env:"NIXFLEET_DATABASE_URL"`
}

// Manifest says what is in a backup.
type Manifest struct {
	Format  int       `json:"format"`
	Version string    `json:"version"` // of the program that made it
	At      time.Time `json:"at"`
	Files   []string  `json:"files"` // of the data directory
	Bytes   int64     `json:"bytes"` // of the database's dump
}

const (
	backupFormat = 1
	manifestName = "manifest.json"
	dumpName     = "database.dump"
)

// keptFiles are the secrets in the data directory. The rest of it is the database,
// which is dumped, and the bus, which is filled anew from the database.
var keptFiles = []string{"keys.json", sealKeyFile, "bus-ca.pem"}

// maxKeptFile bounds one of them.
const maxKeptFile = 1 << 20

// Backup writes all that a server can't do without into one file, for its owner only,
// while the server runs. A file that exists is left alone.
func Backup(ctx context.Context, k Kept, file string, now time.Time) (m Manifest, err error) {
	if _, err := os.Lstat(file); err == nil {
		return m, fmt.Errorf("%s exists, and is not overwritten", file)
	}
	address, stop, err := k.database(ctx, false)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	files, err := k.files()
	if err != nil {
		return m, err
	}
	// Both in the folder of the backup: there is room for it, and nobody else may look.
	dump, err := os.CreateTemp(filepath.Dir(file), ".nixfleet-dump-*")
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, dump.Close(), os.Remove(dump.Name())) }()
	if err := db.Dump(ctx, address, dump); err != nil {
		return m, err
	}
	again, err := k.files()
	if err != nil {
		return m, err
	}
	for name, text := range files {
		if !bytes.Equal(text, again[name]) {
			return m, fmt.Errorf("%s has changed meanwhile, so it may not belong to the database: make the backup again", name)
		}
	}
	info, err := dump.Stat()
	if err != nil {
		return m, err
	}
	m = Manifest{Format: backupFormat, Version: Version, At: now.UTC(), Bytes: info.Size()}
	if _, err := dump.Seek(0, io.SeekStart); err != nil {
		return m, err
	}
	for _, name := range keptFiles {
		if files[name] != nil {
			m.Files = append(m.Files, name)
		}
	}
	return m, publish(file, func(w io.Writer) error { return m.write(w, files, dump) })
}

// publish writes a file under another name and gives it its own once it is whole.
func publish(file string, write func(io.Writer) error) (err error) {
	d, err := newDraft(file, write)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.drop()) }()
	return d.publish()
}

// draft is a file that is whole and on the disk, under a name that nobody looks for.
type draft struct{ name, file string }

func newDraft(file string, write func(io.Writer) error) (d draft, err error) {
	part, err := os.CreateTemp(filepath.Dir(file), ".nixfleet-backup-*") // for its owner only
	if err != nil {
		return d, err
	}
	d = draft{part.Name(), file}
	err = write(part)
	if err == nil {
		err = part.Sync()
	}
	if err = errors.Join(err, part.Close()); err != nil {
		return d, errors.Join(err, d.drop())
	}
	return d, nil
}

// publish gives it its own name, unless that is taken.
func (d draft) publish() error {
	if err := os.Link(d.name, d.file); err != nil { // which overwrites nothing, unlike a rename
		return fmt.Errorf("%s exists, or can't be written: %w", d.file, err)
	}
	return nil
}

func (d draft) drop() error { return os.Remove(d.name) }

func (m Manifest) write(w io.Writer, files map[string][]byte, dump io.Reader) error {
	t := tar.NewWriter(w)
	put := func(name string, size int64, r io.Reader) error {
		if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: m.At}); err != nil {
			return err
		}
		_, err := io.Copy(t, r)
		return err
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := put(manifestName, int64(len(text)), bytes.NewReader(text)); err != nil {
		return err
	}
	for _, name := range m.Files {
		if err := put(name, int64(len(files[name])), bytes.NewReader(files[name])); err != nil {
			return err
		}
	}
	if err := put(dumpName, m.Bytes, dump); err != nil {
		return err
	}
	return t.Close()
}

// Restore brings a backup into an empty data directory and an empty database. The
// server that starts there next is the one that was backed up.
func Restore(ctx context.Context, k Kept, file string) (m Manifest, err error) {
	in, err := os.Open(file)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	t := tar.NewReader(in)
	if m, err = readManifest(t); err != nil {
		return m, fmt.Errorf("%s is no backup of NixFleet: %w", file, err)
	}
	for _, name := range keptFiles {
		if _, err := os.Lstat(filepath.Join(k.DataDir, name)); err == nil {
			return m, fmt.Errorf("there is a server in %s already (%s): restore into an empty directory", k.DataDir, name)
		}
	}
	files := map[string][]byte{}
	for _, name := range m.Files {
		head, err := t.Next()
		if err != nil || head.Name != name || !isKept(name) {
			return m, fmt.Errorf("%s is damaged: expected %s", file, name)
		}
		if files[name], err = io.ReadAll(io.LimitReader(t, maxKeptFile)); err != nil {
			return m, fmt.Errorf("%s is damaged: %w", file, err)
		}
	}
	if head, err := t.Next(); err != nil || head.Name != dumpName || head.Size != m.Bytes {
		return m, fmt.Errorf("%s is damaged: expected %s of %d bytes", file, dumpName, m.Bytes)
	}
	if err := os.MkdirAll(k.DataDir, 0o755); err != nil { // the private Postgres may run as another user, who must be able to pass
		return m, err
	}
	// A database that is loaded can't be loaded again, so whatever may fail for want of
	// room or rights comes before.
	var drafts []draft
	defer func() {
		for _, d := range drafts {
			err = errors.Join(err, d.drop())
		}
	}()
	for name, text := range files {
		d, err := newDraft(filepath.Join(k.DataDir, name), func(w io.Writer) error { _, err := w.Write(text); return err })
		if err != nil {
			return m, err
		}
		drafts = append(drafts, d)
	}
	if err := k.load(ctx, t); err != nil {
		return m, err
	}
	for _, d := range drafts {
		if err := d.publish(); err != nil {
			return m, err
		}
	}
	return m, nil
}

// load fills the server's database, which must be empty.
func (k Kept) load(ctx context.Context, dump io.Reader) (err error) {
	address, stop, err := k.database(ctx, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := db.Load(ctx, address, dump); err != nil {
		if errors.Is(err, db.ErrConflict) {
			return fmt.Errorf("%w: restore into an empty one", err)
		}
		return err
	}
	return nil
}

func isKept(name string) bool {
	for _, k := range keptFiles {
		if k == name {
			return true
		}
	}
	return false
}

func readManifest(t *tar.Reader) (m Manifest, err error) {
	head, err := t.Next()
	if err != nil {
		return m, err
	}
	if head.Name != manifestName {
		return m, fmt.Errorf("it begins with %.40q", head.Name)
	}
	if err := json.NewDecoder(io.LimitReader(t, maxKeptFile)).Decode(&m); err != nil {
		return m, err
	}
	if m.Format != backupFormat {
		return m, fmt.Errorf("its format is %d, this program reads %d", m.Format, backupFormat)
	}
	return m, nil
}

// database is the address of the server's database. The private one is started if it
// does not run; where none may be made, there has to be one.
func (k Kept) database(ctx context.Context, make bool) (address string, stop func() error, err error) {
	if k.DatabaseURL != "" {
		return k.DatabaseURL, func() error { return nil }, nil
	}
	dir := filepath.Join(k.DataDir, "postgres")
	if !make && !db.HasPrivate(dir) {
		return "", nil, fmt.Errorf("there is no server in %s: NIXFLEET_DATA_DIR, or --data-dir, says where it keeps its data, NIXFLEET_DATABASE_URL which database it uses", k.DataDir)
	}
	p, err := db.StartPrivate(ctx, db.PrivateOptions{Dir: dir})
	if err != nil {
		return "", nil, err
	}
	return p.URL(), func() error {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		return p.Stop(stopping)
	}, nil
}

// files are the secrets that there are.
func (k Kept) files() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, name := range keptFiles {
		text, err := os.ReadFile(filepath.Join(k.DataDir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		default:
			files[name] = text
		}
	}
	if files["keys.json"] == nil {
		return nil, fmt.Errorf("there is no keys.json in %s, so no server was ever started there", k.DataDir)
	}
	return files, nil
}
