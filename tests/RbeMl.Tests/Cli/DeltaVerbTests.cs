using System.Text.Json;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.Tests.Cli;

/// <summary><c>finetune --delta</c>: every option reaches what it is for, and the model stays what it was.</summary>
public sealed class DeltaVerbTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly CharacterTokenizer _tokenizer = new([.. TinyJob.Text.EnumerateRunes().Distinct().Order()]);

    public void Dispose() => _folder.Dispose();

    private string Base(ulong seed = 3)
    {
        TransformerConfig config = new() { Width = 32, Heads = 2, Layers = 1, Vocabulary = _tokenizer.Vocabulary, MaxSequenceLength = 16 };
        RbeOptions options = new() { Tile = 32, Format = RbeFormat.Quantized(4) };
        using TransformerModel<float> model = new(TransformerWeights.CreateUntrained(config, options, seed));
        ModelFile.Save(_folder.File($"base{seed}.rbe"), model, _tokenizer);
        return _folder.File($"base{seed}.rbe");
    }

    private string[] Line(params string[] more) =>
    [
        "finetune", "--model", Base(), "--text", _folder.Write("text.txt", string.Concat(Enumerable.Repeat(TinyJob.Text, 40))),
        "--out", _folder.File("out"), "--overwrite",
        .. TinyJob.Override(["--batch", "4", "--steps", "4", "--warmup", "1", "--threads", "1"], more), .. more,
    ];

    private Dictionary<string, float[]> Train(params string[] more)
    {
        CommandRun.Of(Line(more)).Succeeds();
        using ModelBundle bundle = ModelFile.Load(_folder.File("out/model.rbe"));
        Dictionary<string, float[]> values = bundle.Model.Parameters.Slices.ToDictionary(slice => slice.Name, bundle.Model.Parameters.ToFloats);
        values["places"] = [.. bundle.Model.Matrices.SelectMany(m => m.Matrix.Support?.Starts.Select(place => (float)place) ?? [])];
        return values;
    }

    [Fact]
    public void Every_option_of_a_delta_has_an_effect()
    {
        Dictionary<string, float[]> plain = Train("--delta", "5%"), same = Train("--delta", "48");
        const string Query = "blocks.0.attention.query.coefficients", Expand = "blocks.0.feedforward.expand.coefficients";
        Assert.Equal(48, plain[Query].Length);
        Assert.Equal(plain[Query], same[Query]);
        using (ModelBundle basis = ModelFile.Load(Base()))
        {
            foreach (ParameterSlice slice in basis.Model.Parameters.Slices) Assert.Equal(basis.Model.Parameters.ToFloats(slice), plain[slice.Name]);
        }

        Dictionary<string, float[]> layers = Train("--delta", "48", "--delta-layers", "*.query", "*.key");
        Assert.True(layers.ContainsKey(Query) && !layers.ContainsKey(Expand));
        foreach (string support in (string[])["gradient", "random"])
        {
            Assert.NotEqual(plain["places"], Train("--delta", "48", "--delta-support", support)["places"]);
        }

        foreach ((string with, bool biases, bool norms) in ((string, bool, bool)[])[("biases", true, false), ("norms", false, true), ("both", true, true)])
        {
            Dictionary<string, float[]> more = Train("--delta", "48", "--delta-with", with);
            Assert.Equal(biases, !more["blocks.0.attention.query.bias"].AsSpan().SequenceEqual(plain["blocks.0.attention.query.bias"]));
            Assert.Equal(norms, !more["final.gamma"].AsSpan().SequenceEqual(plain["final.gamma"]));
        }

        JsonElement model = JsonDocument.Parse(File.ReadAllText(_folder.File("out/metrics.json"))).RootElement.GetProperty("model");
        Assert.Equal((12 * 48) + (9 * 32) + (6 * 32), model.GetProperty("trainableValues").GetInt32());
    }

    /// <summary>Stopped and resumed, also where the model has taken the place of the one that it began with.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_delta_is_resumed(bool inPlace)
    {
        string[] line = [.. Line("--delta", "48", "--delta-support", "gradient", "--steps", "12")];
        string home = Path.Combine(_folder.File("out"), "model.rbe");
        CommandRun.Of(line).Succeeds();
        byte[] whole = File.ReadAllBytes(home);
        if (inPlace)
        {
            File.Copy(Base(), home, overwrite: true);
            line[2] = home;
        }

        using CancellationTokenSource cancel = new();
        WatchedWriter output = new(text =>
        {
            if (text.Contains("step 5/", StringComparison.Ordinal)) cancel.Cancel();
        });
        Assert.Equal(130, RbeMl.Cli.Commands.Run(line, new RbeMl.Cli.CommandHost(output, new StringWriter()) { Cancel = cancel.Token }));
        CommandRun.Of([.. line, "--resume"]).Succeeds();
        Assert.Equal(whole, File.ReadAllBytes(home));
    }

    /// <summary>The file of a delta on its model says what the model that was saved whole says, and goes on from there.</summary>
    [Fact]
    public void A_saved_delta_is_used_by_every_verb()
    {
        string delta = _folder.File("delta.rbe"), text = _folder.File("text.txt"), whole = _folder.File("out/model.rbe"), basis = Base();
        CommandRun.Of(Line("--delta", "48", "--delta-with", "both", "--save-delta", delta)).Succeeds();
        Same("eval", "--text", text, "--limit", "64", "--json");
        Same("generate", "--prompt", "the", "--max-tokens", "8", "--temperature", "0");
        CommandRun.Of(Line("--apply-delta", delta, "--save-delta", _folder.File("more.rbe"))).Succeeds();
        using (ModelBundle plain = ModelFile.Load(basis))
        using (DeltaModel more = DeltaFile.Apply(_folder.File("more.rbe"), plain.Model), first = DeltaFile.Apply(delta, plain.Model))
        using (ModelBundle saved = ModelFile.Load(whole))
        {
            Assert.Equal(RunMark.HashOf(saved.Model), RunMark.HashOf(more.Model));
            Assert.NotEqual(RunMark.HashOf(first.Model), RunMark.HashOf(more.Model));
            Assert.Equal(first.Trained, more.Trained);
        }

        string other = Base(seed: 4);
        foreach (string[] verb in (string[][])
            [["generate", "--prompt", "the"], ["eval", "--text", text], ["finetune", "--text", text, "--out", _folder.File("b")]])
        {
            CommandRun.Of([.. verb, "--model", other, "--apply-delta", delta]).Fails(1, "the delta belongs to a model of 1 block of width 32");
        }

        CommandRun.Of("finetune", "--model", "m", "--save-delta", delta).Fails(2, "--save-delta needs a delta");
        CommandRun.Of("finetune", "--apply-delta", delta).Fails(2, "--apply-delta is for a model that exists");
        CommandRun.Of("finetune", "--model", "m", "--apply-delta", delta, "--delta", "2%").Fails(2, "--delta begins a new delta");
        CommandRun.Of(Line("--delta", "2%", "--save-delta", basis)).Fails(2, "another file of this command");
        string notes = _folder.Write("notes.txt", "mine");
        CommandRun.Of([.. Line("--delta", "2%", "--save-delta", delta).Where(word => word != "--overwrite")]).Fails(1,
            "is there already. Give --save-delta another name, or say --overwrite.");
        CommandRun.Of(Line("--delta", "2%", "--save-delta", notes)).Fails(1, "was not written by finetune, and --save-delta would replace it");
        Assert.Equal("mine", File.ReadAllText(notes));
        CommandRun.Of(Line("--delta", "2%", "--save-delta", delta)).Succeeds();
        File.Copy(basis, whole, overwrite: true);
        string[] inPlace = [.. Line("--delta", "2%", "--save-delta", delta)];
        inPlace[2] = _folder.File("out");
        CommandRun.Of(inPlace).Fails(2, "another file of this command");

        void Same(params string[] verb)
        {
            CommandRun one = CommandRun.Of([.. verb, "--model", whole]), two = CommandRun.Of([.. verb, "--model", basis, "--apply-delta", delta]);
            one.Succeeds();
            two.Succeeds();
            Assert.Equal(Figures(one.Out), Figures(two.Out));
            Assert.NotEqual(Figures(one.Out), Figures(CommandRun.Of([.. verb, "--model", basis]).Out));
        }

        static string Figures(string output) => output.StartsWith('{')
            ? JsonDocument.Parse(output).RootElement.GetProperty("nll").GetRawText() : output;
    }

    [Fact]
    public void What_is_frozen_counts_for_no_trained_value()
    {
        long all = Trained(), some = Trained("--group", "embedding.*:frozen"), few = Trained("--group", "*:frozen", "*.bias:trained");
        Assert.True(few < some && some < all, $"{few} {some} {all}");

        long Trained(params string[] more)
        {
            CommandRun run = CommandRun.Of(TinyJob.Args(_folder, ["--steps", "1", "--overwrite", .. more]));
            run.Succeeds();
            long values = JsonDocument.Parse(File.ReadAllText(_folder.File("out/metrics.json"))).RootElement.GetProperty("model")
                .GetProperty("trainableValues").GetInt64();
            Assert.Contains(FormattableString.Invariant($"{values:N0} trained values"), run.Out.ReplaceLineEndings(" "), StringComparison.Ordinal);
            return values;
        }
    }

    [Fact]
    public void What_contradicts_itself_is_refused()
    {
        foreach (string group in (string[])["*.bias", "*:", ":frozen", "*:rate=0", "*:rate", "*:frozen=1", "*:decay=x", "*:slow"])
        {
            CommandRun.Of("finetune", "--group", group).Fails(2, $"--group {group}: write names, a colon, and rate=0.5");
        }

        CommandRun.Of("finetune", "--schedule", "constant", "--cycles", "2").Fails(2, "--cycles is for a rate that falls");
        CommandRun.Of("finetune", "--delta", "2%").Fails(2, "--delta is for a model that exists");
        CommandRun.Of("finetune", "--model", "m", "--delta-support", "random").Fails(2, "--delta-support is for a --delta");
        CommandRun.Of("finetune", "--model", "m", "--delta", "2%", "--format", "trellis").Fails(2, "--format stores the matrices anew");
        CommandRun.Of("finetune", "--model", "m", "--delta", "0").Fails(2, "--delta 0");
        CommandRun.Of("finetune", "--model", "m", "--delta", "2.5").Fails(2, "use a share below 1, such as 0.02 or 2%, or a whole number");
        CommandRun.Of("finetune", "--model", "m", "--delta", "x%").Fails(2, "--delta x%");
        CommandRun.Of(Line("--delta", "2%", "--delta-layers", "*.nothing")).Fails(1,
            "--delta-layers = \"*.nothing\": it matches none of the 6 names");
        CommandRun.Of(Line("--delta", "9999")).Fails(1, "--delta = ");
        CommandRun.Of(Line("--group", "*.nothing:frozen")).Fails(1, "--group = \"*.nothing\": it matches none of the ");
    }
}
