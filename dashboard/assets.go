package dashboard

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"slices"
)

//go:embed static/*.css static/*.js static/*.svg static/vendor/*.js
var static embed.FS

// asset is one embedded file. Its address holds the hash of all of them, so that it
// can be cached for ever, can never be stale, and scripts find each other beside them.
type asset struct {
	kind string
	data []byte
}

// assets by name; assetsHash changes when any of them does.
var assets, assetsHash = loadAssets()

func loadAssets() (map[string]asset, string) {
	found := map[string]asset{}
	all := sha256.New()
	err := fs.WalkDir(static, "static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := static.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		all.Write(sum[:])
		found[path.Base(name)] = asset{kind: kindOf(name), data: data}
		return nil
	})
	if err != nil {
		panic("dashboard: embedded assets can't be read: " + err.Error()) // a broken build, not a condition
	}
	return found, hex.EncodeToString(all.Sum(nil)[:6])
}

// kindOf avoids the host's MIME table for what browsers refuse when it is wrong.
func kindOf(name string) string {
	switch ext := path.Ext(name); {
	case ext == ".js":
		return "text/javascript; charset=utf-8"
	case ext == ".css":
		return "text/css; charset=utf-8"
	case ext == ".svg":
		return "image/svg+xml"
	default:
		return mime.TypeByExtension(ext)
	}
}

// assetURL is the address of an embedded file.
func assetURL(name string) string {
	return "/static/" + assetsHash + "/" + name
}

func serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := assets[r.PathValue("name")]
	if !ok || assetsHash != r.PathValue("hash") {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Header().Set("Content-Type", a.kind)
	_, _ = w.Write(slices.Clip(a.data))
}
