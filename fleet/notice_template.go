package fleet

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"text/template/parse"
)

// usualText is how a kind is told unless a receiver has words of its own.
type usualText struct{ title, body *template.Template }

var templateFuncs = template.FuncMap{
	"join": func(list []string, between string) string { return strings.Join(list, between) },
	"lines": func(list []string) string {
		var b strings.Builder
		for i, s := range list {
			if i == 10 && len(list) > 11 {
				fmt.Fprintf(&b, "– and %d more\n", len(list)-i)
				break
			}
			b.WriteString("– " + s + "\n")
		}
		return b.String()
	},
	"upper": strings.ToUpper,
}

// Parts of the usual bodies.
const (
	partUpdate = `{{if .Update}}{{.Repo}} #{{.Number}}: {{.Update}}
{{else if .Repo}}{{.Repo}}{{if .Commit}} at {{.Commit}}{{end}}
{{end}}{{lines .Inputs}}`
	partReason = `{{if .Reason}}{{.Reason}}
{{end}}`
	partFailed = `{{if .Failed}}Failed:
{{lines .Failed}}{{end}}`
	partActor = `{{if .Actor}}By {{.Actor}}.{{end}}`
	byName    = `{{if .Actor}} by {{.Actor}}{{end}}`
	verbed    = `{{if eq .Verb "Restore"}}Going back{{else}}Deployment{{end}}`
)

var usualTexts = map[NoticeKind]usualText{
	NoticeOpened:       usual(`Update #{{.Number}}: {{if .Inputs}}{{len .Inputs}} {{if eq (len .Inputs) 1}}input{{else}}inputs{{end}}{{else}}new{{end}}`, partUpdate+partReason),
	NoticeBlocked:      usual(`Update #{{.Number}} is blocked`, partReason+partUpdate),
	NoticeFailing:      usual(`Checks failed for update #{{.Number}}`, partReason+partUpdate),
	NoticeConflict:     usual(`Update #{{.Number}} conflicts with {{.Branch}}`, partReason+partUpdate),
	NoticeReady:        usual(`Update #{{.Number}} is ready and waits`, partReason+partUpdate),
	NoticeMerged:       usual(`Merged update #{{.Number}}`, partUpdate+partActor),
	NoticeMergeRefused: usual(`GitHub refused to merge update #{{.Number}}`, partReason+partUpdate),

	NoticeStarted:     usual(`{{if eq .Verb "Restore"}}Bringing {{.Total}} hosts back{{else}}Deploying to {{.Total}} {{if eq .Total 1}}host{{else}}hosts{{end}}{{end}}`, partUpdate+partReason),
	NoticePaused:      usual(verbed+` paused`+byName, partReason+partUpdate),
	NoticeResumed:     usual(verbed+` goes on`, partReason+partUpdate),
	NoticeHalted:      usual(verbed+` halted: {{len .Failed}} of {{.Total}} hosts failed`, partReason+partFailed+partUpdate),
	NoticeFailed:      usual(verbed+` failed{{if .Total}}: {{.Done}}/{{.Total}} hosts are healthy{{end}}`, partReason+partFailed+partUpdate),
	NoticeSucceeded:   usual(`{{if eq .Verb "Restore"}}Brought back{{else}}Deployed{{end}} {{.Done}}/{{.Total}} hosts`, partUpdate+partFailed),
	NoticeRollingBack: usual(`Rolling back {{.Total}} {{if eq .Total 1}}host{{else}}hosts{{end}}`, partReason+partFailed+partUpdate),
	NoticeRolledBack:  usual(`Rolled back: hosts run again what they ran before`, partReason+partFailed+partUpdate),
	NoticeAborted:     usual(verbed+` aborted`+byName+`{{if .Total}} at {{.Done}}/{{.Total}} hosts{{end}}`, partReason+partFailed+partUpdate),
	NoticeQuarantined: usual(`Commit {{.Commit}} is in quarantine`, partReason+`Nothing brings it to further hosts by itself.
`+partUpdate),

	NoticeHostFailed:   usual(`{{.Host}} failed{{if .Order}} to {{.Order}}{{end}}{{if .Step}} ({{.Step}}){{end}}`, partReason+partUpdate),
	NoticeHostReverted: usual(`{{.Host}} went back to what it ran before`, partReason+partUpdate),
	NoticeHostOffline:  usual(`{{.Host}} offline for a day`, `{{if gt (len .Hosts) 1}}{{lines .Hosts}}{{else}}`+partReason+`{{end}}It catches up by itself once it is back.`),

	NoticePolicyBroken: usual(`The policy of {{.Repo}} can’t be read`, `{{.Reason}}
Nothing merges there until it is right again.`),
	NoticeWebhooksLost:     usual(`GitHub’s webhooks don’t arrive`, partReason+`Repositories are read every five minutes all the same; updates only take longer.`),
	NoticeGitHubUnreadable: usual(`GitHub can’t be read{{if .Repo}}: {{.Repo}}{{end}}`, partReason+`Nothing merges meanwhile.`),
	NoticeRecovered:        usual(`All well again{{if .Hosts}}: {{.Host}}{{else if .Repo}}: {{.Repo}}{{end}}`, partReason+`{{if gt (len .Hosts) 1}}{{lines .Hosts}}{{end}}`),

	NoticeTest: usual(`NixFleet can reach you`, `This is a test of the receiver {{.Receiver}}, sent by {{.Actor}}. What is told to it looks like this.`),
}

func usual(title, body string) usualText {
	parse := func(text string) *template.Template {
		return template.Must(template.New("").Funcs(templateFuncs).Option("missingkey=error").Parse(text))
	}
	return usualText{parse(title), parse(body)}
}

const maxTemplate = 4000

// parseOwn reads a template of a receiver's. Conditions are all that it needs of
// control: loops and templates that call each other could keep the server busy.
func parseOwn(text string) (*template.Template, error) {
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("it has %d characters, at most %d are allowed", len(text), maxTemplate)
	}
	t, err := template.New("template").Funcs(templateFuncs).Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, errors.New(plainFault.Replace(err.Error()))
	}
	if len(t.Templates()) > 1 {
		return nil, errors.New("it defines further templates; one is enough")
	}
	if t.Tree == nil {
		return t, nil
	}
	return t, plainNodes(t.Root)
}

func plainNodes(list *parse.ListNode) error {
	if list == nil {
		return nil
	}
	for _, n := range list.Nodes {
		switch n := n.(type) {
		case *parse.IfNode:
			if err := errors.Join(plainNodes(n.List), plainNodes(n.ElseList)); err != nil {
				return err
			}
		case *parse.WithNode:
			if err := errors.Join(plainNodes(n.List), plainNodes(n.ElseList)); err != nil {
				return err
			}
		case *parse.RangeNode:
			return errors.New(`range is not needed: write {{join .Inputs ", "}} or {{lines .Failed}}`)
		case *parse.TemplateNode:
			return errors.New("it calls another template; one is enough")
		}
	}
	return nil
}

// execute fills a template in; otherwise is what stands in its place where it fails.
func execute(t *template.Template, f NoticeFields, otherwise string) string {
	var b bytes.Buffer
	if err := t.Execute(&b, f); err != nil {
		return otherwise
	}
	return b.String()
}

// plainFault leaves out of an error of a template what only its programmers know.
var plainFault = strings.NewReplacer("template: ", "", "template:", "line ", `executing "template" at `, "", " in type fleet.NoticeFields", "")

// CheckNoticeTemplate says what is wrong with a template of a receiver's: it must be
// right for every kind of notice. An empty one is the usual words.
func CheckNoticeTemplate(field, text string) error {
	if text == "" {
		return nil
	}
	t, err := parseOwn(text)
	if err != nil {
		return err
	}
	for _, k := range append(NoticeKinds(), NoticeKindInfo{Kind: NoticeTest}) {
		f := SampleNotice(k.Kind).fields(k.Kind, "https://fleet.example.org")
		var b bytes.Buffer
		if err := t.Execute(&b, f); err != nil {
			return fmt.Errorf("for the event %s: %s", k.Kind, plainFault.Replace(err.Error()))
		}
		if field == "title" && strings.TrimSpace(b.String()) == "" {
			return fmt.Errorf("for the event %s the title would be empty", k.Kind)
		}
		if b.Len() > 64<<10 {
			return fmt.Errorf("for the event %s it makes %d characters, which no receiver takes", k.Kind, b.Len())
		}
	}
	return nil
}
