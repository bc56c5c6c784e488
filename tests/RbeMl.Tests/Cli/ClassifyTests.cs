using System.Globalization;
using System.Text;
using System.Text.Json;
using RbeMl.Cli;
using RbeMl.Cli.Classify;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Training;

namespace RbeMl.Tests.Cli;

public sealed class ClassifyTests : IDisposable
{
    private const string Cats = "the cat sat on the mat", Dogs = "a dog running .";
    private readonly TemporaryFolder _folder = new();
    private readonly string _model, _data;

    public ClassifyTests()
    {
        _model = EncoderJob.Model(_folder);
        _data = _folder.Write("train.tsv", "Id\tText\tKind\n" + string.Concat(Enumerable.Range(0, 12)
            .Select(i => i % 2 == 0 ? $"{i}\t{Cats}{Tail(i)}\tcat\n" : $"{i}\t{Dogs}{Tail(i)}\tdog\n")));
    }

    private string[] Columns => ["--text-column", "Text", "--label-column", "Kind"];

    public void Dispose() => _folder.Dispose();

    private static string Tail(int i) => string.Concat(Enumerable.Repeat(" the", i / 4));

    private JsonElement Train(string output, params string[] more)
    {
        CommandRun run = CommandRun.Of(["classify", "train", "-m", _model, "--data", _data, .. Columns, "-o", output, "--json", .. more]);
        run.Succeeds();
        return JsonDocument.Parse(run.Out).RootElement;
    }

    [Fact]
    public void Inspect_shows_a_classifier_and_other_verbs_name_it()
    {
        string file = _folder.File("c.rbe");
        Train(file, "--method", "head");
        CommandRun shown = CommandRun.Of("inspect", file);
        shown.Succeeds();
        Assert.StartsWith($"{file}: a classifier of 2 classes, made of an encoder, a BERT, ", shown.Out);
        Assert.All(["2 blocks, width 8", "attention.query", "head of the classifier"],
            part => Assert.Contains(part, shown.Out, StringComparison.Ordinal));
        JsonElement json = JsonDocument.Parse(CommandRun.Of("inspect", file, "--json").Out).RootElement;
        Assert.Equal(("classifier", "bert", 2, 12), (json.GetProperty("kind").GetString(), json.GetProperty("architecture").GetString(),
            json.GetProperty("classes").GetInt32(), json.GetProperty("tensors").GetArrayLength()));
        CommandRun.Of("embed", "-m", file, "--text", _data, "--text-column", "Text").Fails(1, "holds a classifier, a model is needed.");
        CommandRun.Of("decompress", file, "-o", _folder.File("dense")).Fails(1, "holds a classifier, a model is needed.");
    }

    /// <summary>An encoder's delta is trained alone, saved alone, and gives the vectors that it was trained to.</summary>
    [Theory]
    [InlineData("finetune")]
    [InlineData("contrastive")]
    public void A_delta_of_an_encoder_is_trained_and_used(string method)
    {
        string basis = _folder.File("base.rbe"), delta = _folder.File("delta.rbe"), output = _folder.File("c.rbe"), more = _folder.File("more.rbe");
        CommandRun.Of("compress", _model, "-o", basis, "--format", "quantized", "--bits", "8", "--tile", "32").Succeeds();
        JsonElement trained = On("--method", method, "--delta", "64", "--delta-with", "biases", "--save-delta", delta);
        Assert.Equal(delta, trained.GetProperty("delta").GetString());
        using (ModelBundle plain = ModelFile.Load(basis))
        using (ClassifierBundle classifier = ClassifierFile.Load(output))
        using (DeltaModel applied = DeltaFile.Apply(delta, plain.Model))
        {
            Assert.Equal(trained.GetProperty("trainedValues").GetInt64(), applied.TrainableCount);
            Assert.Equal(RunMark.HashOf(classifier.Classifier.Model), RunMark.HashOf(applied.Model));
            Assert.Equal(64, applied.Model.Blocks[0].Attention.Query.Coefficients!.Length);
            foreach (ParameterSlice slice in plain.Model.Parameters.Slices)
            {
                bool same = plain.Model.Parameters.ToFloats(slice).AsSpan().SequenceEqual(
                    applied.Model.Parameters.ToFloats(applied.Model.Parameters.Find(slice.Name)));
                Assert.True(same || applied.Trained.Contains(slice.Name), slice.Name);
            }
        }

        string[] embed = ["embed", "-m", basis, "--text", _data, "--text-column", "Text"];
        CommandRun before = CommandRun.Of(embed), after = CommandRun.Of([.. embed, "--apply-delta", delta]);
        after.Succeeds();
        Assert.NotEqual(before.Out, after.Out);
        On("--method", method, "--apply-delta", delta, "--save-delta", more);
        Assert.NotEqual(File.ReadAllBytes(delta), File.ReadAllBytes(more));
        On("--method", "head", "--apply-delta", delta);
        foreach (string[] wrong in (string[][])[["--method", "head", "--delta", "2%"], ["--method", "head", "--apply-delta", delta, "--save-delta", more]])
        {
            CommandRun.Of(["classify", "train", "-m", basis, "--data", _data, .. Columns, "-o", output, .. wrong]).Fails(2, "--method head trains nothing");
        }

        foreach ((int code, string says, string[] wrong) in ((int, string, string[])[])
            [(2, "--save-delta needs a delta", ["--save-delta", more]), (2, "--delta-with is for a --delta", ["--delta-with", "both"]),
                (2, "another file of this command", ["--delta", "2%", "--save-delta", output]), (1, "is no delta, so it is not replaced",
                    ["--delta", "2%", "--save-delta", _folder.Write("notes.txt", "mine")])])
        {
            CommandRun.Of(["classify", "train", "-m", basis, "--data", _data, .. Columns, "-o", output, .. wrong]).Fails(code, says);
        }

        string[] dense = ["classify", "train", "-m", _model, "--data", _data, .. Columns, "-o", output, "--delta", "2%"];
        CommandRun.Of(dense).Fails(1, "the matrix is dense: all of its values are floats");

        JsonElement On(params string[] words)
        {
            CommandRun run = CommandRun.Of(["classify", "train", "-m", basis, "--data", _data, .. Columns, "-o", output, "--json", .. words]);
            run.Succeeds();
            return JsonDocument.Parse(run.Out).RootElement;
        }
    }

    [Theory]
    [InlineData("head")]
    [InlineData("finetune")]
    [InlineData("contrastive")]
    public void What_is_trained_labels_texts_and_is_measured(string method)
    {
        string output = _folder.File("c.rbe");
        JsonElement trained = Train(output, "--method", method, "--test", _data);
        Assert.Equal(["cat", "dog"], trained.GetProperty("classes").EnumerateArray().Select(c => c.GetString()));
        Assert.Equal((12, 12, 1.0, 1.0), (trained.GetProperty("examples").GetInt32(), trained.GetProperty("texts").GetInt32(),
            trained.GetProperty("accuracy").GetDouble(), trained.GetProperty("macroF1").GetDouble()));
        Assert.Equal(method == "head", trained.GetProperty("steps").GetInt32() == 0);

        CommandRun measured = CommandRun.Of(["classify", "eval", "-m", output, "--data", _data, .. Columns, "--json"]);
        measured.Succeeds();
        JsonElement eval = JsonDocument.Parse(measured.Out).RootElement;
        foreach (string key in new[] { "accuracy", "macroF1", "logLoss", "confusion" })
        {
            Assert.Equal(trained.GetProperty(key).GetRawText(), eval.GetProperty(key).GetRawText());
        }

        CommandRun labelled = CommandRun.Of("classify", "predict", "-m", output, "--text", _folder.Write("new.txt", $"{Dogs}\n{Cats}\n"));
        labelled.Succeeds();
        JsonElement[] lines = [.. labelled.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement)];
        Assert.Equal(["dog", "cat"], lines.Select(line => line.GetProperty("label").GetString()));
        Assert.Equal([Dogs, Cats], lines.Select(line => line.GetProperty("text").GetString()));
        Assert.Equal([1, 2], lines.Select(line => line.GetProperty("line").GetInt32()));
        using ClassifierBundle bundle = ClassifierFile.Load(output);
        Assert.Equal(["cat", "dog"], bundle.Classifier.Config.Labels);
        foreach (JsonElement line in lines)
        {
            ClassifierTexts texts = new(bundle.Classifier.Model, bundle.Tokenizer!);
            float[] expected = ClassifierTexts.Probabilities(bundle.Classifier, [texts.Encode("", 1, line.GetProperty("text").GetString()!)], 1, _ => { },
                CancellationToken.None).Single();
            Assert.Equal(expected, line.GetProperty("scores").EnumerateObject().Select(score => score.Value.GetSingle()));
            Assert.Equal(expected.Max(), line.GetProperty("probability").GetSingle());
        }
    }

    [Fact]
    public void The_same_seed_gives_the_same_file_on_any_number_of_threads()
    {
        Train(_folder.File("a.rbe"), "--seed", "5", "--threads", "1");
        Train(_folder.File("b.rbe"), "--seed", "5", "--threads", "2");
        Assert.Equal(File.ReadAllBytes(_folder.File("a.rbe")), File.ReadAllBytes(_folder.File("b.rbe")));
    }

    [Fact]
    public void Few_texts_a_class_and_a_share_to_test_on_are_drawn_by_the_seed()
    {
        string output = _folder.File("c.rbe");
        Assert.Equal(4, Train(output, "--per-class", "2", "--method", "head").GetProperty("examples").GetInt32());
        JsonElement share = Train(output, "--test-fraction", "0.34", "--method", "head");
        Assert.Equal((8, 4), (share.GetProperty("examples").GetInt32(), share.GetProperty("texts").GetInt32()));
        byte[] first = File.ReadAllBytes(output);
        Train(output, "--test-fraction", "0.34", "--method", "head");
        Assert.Equal(first, File.ReadAllBytes(output));
        Train(output, "--test-fraction", "0.34", "--method", "head", "--seed", "2");
        Assert.NotEqual(first, File.ReadAllBytes(output));
    }

    [Fact]
    public void A_language_model_learns_too_and_labels_are_words_or_numbers()
    {
        TinyJob.Run(_folder, "--steps", "1");
        string data = _folder.Write("n.jsonl", string.Concat(Enumerable.Range(0, 8)
            .Select(i => $"{{\"text\":\"{(i % 2 == 0 ? "the cat" : "a dog")}\",\"label\":{i % 2}}}\n")));
        string output = _folder.File("n.rbe");
        CommandRun.Of("classify", "train", "-m", _folder.File("out/model.rbe"), "--data", data, "-o", output, "--method", "head").Succeeds();
        CommandRun run = CommandRun.Of("classify", "predict", "-m", output, "--text", data);
        Assert.Equal(["0", "1"], run.Out.Split('\n')[..2].Select(line => JsonDocument.Parse(line).RootElement.GetProperty("label").GetString()));
    }

    [Fact]
    public void Labels_go_to_files_and_texts_come_from_standard_input()
    {
        string output = _folder.File("c.rbe"), table = _folder.File("labels.tsv");
        Train(output, "--method", "head");
        CommandRun.Of("classify", "predict", "-m", output, "--text", _data, "--text-column", "Text", "-o", table).Succeeds();
        string[][] rows = [.. File.ReadAllLines(table).Select(line => line.Split('\t'))];
        Assert.Equal(["line", "text", "label", "probability", "cat", "dog"], rows[0]);
        string[] read = File.ReadAllLines(_data);
        Assert.Equal(read.Length, rows.Length);
        foreach (string[] row in rows[1..])
        {
            Assert.Equal(read[int.Parse(row[0], CultureInfo.InvariantCulture) - 1].Split('\t')[1..], row[1..3]); // text and label of that line
            Assert.Equal(1, float.Parse(row[4], CultureInfo.InvariantCulture) + float.Parse(row[5], CultureInfo.InvariantCulture), 1e-5);
        }

        StringWriter text = new();
        Assert.Equal(0, Commands.Run(["classify", "predict", "-m", output],
            new CommandHost(text, TextWriter.Null) { In = new MemoryStream(Encoding.UTF8.GetBytes(Dogs)) }));
        Assert.Contains("\"label\":\"dog\"", text.ToString());
    }

    [Fact]
    public void Labels_can_be_joined_with_a_table_that_has_blank_rows_and_texts_of_several_lines()
    {
        string data = _folder.Write("d.tsv", $"text\tlabel\n{Cats}\ttext\n{Cats} .\ttext\n{Dogs}\tlabel\n{Dogs} .\tlabel\n");
        string output = _folder.File("c.rbe"), table = _folder.File("labels.tsv"), input = _folder.Write("n.csv", $"id,text\n\n1,\"the\ncat\"\n,\n2,{Dogs}\n");
        CommandRun.Of("classify", "train", "-m", _model, "--data", data, "-o", output, "--method", "head").Succeeds();
        CommandRun.Of("classify", "predict", "-m", output, "--text", input, "-o", table).Succeeds();
        string[][] rows = [.. File.ReadAllLines(table).Select(line => line.Split('\t'))];
        Assert.Equal(["line", "text", "label", "probability", "p(label)", "p(text)"], rows[0]); // classes called as columns are
        Assert.Equal([["3", "the cat"], ["6", Dogs]], rows[1..].Select(row => row[..2]));
        Assert.Equal([3, 6], CommandRun.Of("classify", "predict", "-m", output, "--text", input).Out.Split('\n')[..^1]
            .Select(line => JsonDocument.Parse(line).RootElement.GetProperty("line").GetInt32()));
        string csv = _folder.File("labels.csv");
        CommandRun.Of("classify", "predict", "-m", output, "--text", input, "-o", csv)
            .Fails(2, $"{csv}: labels are not written as .csv. Name it .jsonl or .tsv.");
    }

    [Fact]
    public void Classes_are_shown_with_their_texts_and_what_could_not_be_met_is_noted()
    {
        string output = _folder.File("c.rbe");
        string data = _folder.Write("few.tsv", "text\tlabel\n" + string.Concat(Enumerable.Range(0, 10).Select(i => $"{Cats}{Tail(i)}\tcat\n"))
            + $"{Dogs}\tdog\n{Dogs}{Tail(4)}\tdog\nthe mat\tmat\n");
        string[] train = ["classify", "train", "-m", _model, "--data", data, "-o", output, "--method", "head"];
        CommandRun whole = CommandRun.Of(train);
        whole.Succeeds();
        Assert.Matches(@"^class +learnt from\n─+\ncat +10\ndog +2\nmat +1\n\n", whole.Out);
        Assert.DoesNotContain("Note:", whole.Out, StringComparison.Ordinal);
        CommandRun few = CommandRun.Of([.. train, "--per-class", "4", "--test-fraction", "0.2"]);
        few.Succeeds();
        Assert.Matches(@"^class +learnt from +measured on\n─+\ncat +4 +2\ndog +1 +1\nmat +1 +0\n", few.Out);
        Assert.Contains("\nNote: --test-fraction 0.2 is not met by small classes: measured on are 1 of 2 \"dog\", 0 of 1 \"mat\".\n", few.Out,
            StringComparison.Ordinal);
        Assert.Contains("\nNote: --per-class 4 is more than there are of some classes: learnt from are 1 of \"dog\", 1 of \"mat\".\n", few.Out,
            StringComparison.Ordinal);
        JsonElement json = JsonDocument.Parse(CommandRun.Of([.. train, "--per-class", "4", "--json"]).Out).RootElement;
        Assert.Equal([4, 2, 1], json.GetProperty("classExamples").EnumerateArray().Select(n => n.GetInt32()));
        Assert.Equal("--per-class 4 is more than there are of some classes: learnt from are 2 of \"dog\", 1 of \"mat\".",
            Assert.Single(json.GetProperty("notes").EnumerateArray()).GetString());
    }

    [Fact]
    public void A_classifier_is_replaced_and_says_so_and_no_other_file_is()
    {
        string output = _folder.File("c.rbe"), notes = _folder.Write("notes.rbe", "my notes"), empty = _folder.Write("empty.rbe", "");
        TinyJob.Run(_folder, "--steps", "1");
        foreach (string other in new[] { notes, _folder.File("out/model.rbe") })
        {
            byte[] before = File.ReadAllBytes(other);
            CommandRun.Of(["classify", "train", "-m", _model, "--data", _data, .. Columns, "-o", other])
                .Fails(1, $"{other}: is there already and is no classifier, so it is not replaced. Choose another name, or remove it.");
            Assert.Equal(before, File.ReadAllBytes(other));
        }

        Assert.False(Train(empty, "--method", "head").GetProperty("replaced").GetBoolean());
        string[] train = ["classify", "train", "-m", _model, "--data", _data, .. Columns, "--method", "head", "-o", output];
        Assert.DoesNotContain("replaces", CommandRun.Of(train).Out, StringComparison.Ordinal);
        Assert.Contains("; it replaces the classifier that was there\n", CommandRun.Of(train).Out, StringComparison.Ordinal);
        Assert.True(Train(output, "--method", "head").GetProperty("replaced").GetBoolean());
    }

    [Fact]
    public void Figures_are_those_of_their_definitions()
    {
        float[][] rows = [[0.7f, 0.2f, 0.1f], [0.6f, 0.3f, 0.1f], [0.1f, 0.8f, 0.1f], [0.2f, 0.5f, 0.3f]];
        ClassifierFigures figures = ClassifierFigures.Of(rows, [0, 1, 1, 1], 3);
        Assert.Equal([[1, 0, 0], [1, 2, 0], [0, 0, 0]], figures.Confusion);
        Assert.Equal((4, 0.75), (figures.Texts, figures.Accuracy));
        Assert.Equal(((2.0 / 3) + (4.0 / 5)) / 2, figures.MacroF1, 1e-12); // the class that never occurs does not count
        Assert.Equal(-(Math.Log(0.7f) + Math.Log(0.3f) + Math.Log(0.8f) + Math.Log(0.5f)) / 4, figures.LogLoss, 1e-12);
        Assert.Equal(-Math.Log(1e-15), ClassifierFigures.Of([[1, 0]], [1], 2).LogLoss, 1e-9);
    }

    [Fact]
    public void Wrong_inputs_are_named()
    {
        string output = _folder.File("c.rbe"), one = _folder.Write("one.tsv", "text\tlabel\na\tx\nb\tx\n");
        string[] train = ["classify", "train", "-m", _model, "-o", output];
        CommandRun.Of([.. train, "--data", one]).Fails(1, "has one label, \"x\", in all 2 rows; two classes at least are needed. Give");
        foreach (string hole in new[] { _folder.Write("h.tsv", "text\tlabel\na\tx\n\t\nb\t\n"), _folder.Write("h.csv", "text,label\na,x\n,\nb,\" \"\n"),
            _folder.Write("h.jsonl", "{\"text\":\"a\",\"label\":1}\n\n\n{\"text\":\"b\",\"label\":\"\"}\n") })
        {
            CommandRun.Of([.. train, "--data", hole]).Fails(1, $"{hole}: line 4 has an empty label, which is no class. Write the label, or leave the row out.");
        }

        CommandRun.Of([.. train, "--data", _data])
            .Fails(1, "has no column \"text\"; its first line names \"Id\", \"Text\", \"Kind\". Name the right one");
        CommandRun.Of([.. train, "--data", _folder.Write("x.txt", "a\n")]).Fails(2, "its name does not say how rows stand in it");
        CommandRun.Of([.. train, "--data", _data, .. Columns, "--test", one, "--test-fraction", "0.5"]).Fails(2, "are two tests");
        CommandRun.Of("classify", "train", "-m", _model, "--data", _data, "-o", _data).Fails(2, "another file of this command");
        CommandRun.Of([.. train, "--data", _data, "--method", "magic"]).Fails(2, "--method magic: use one of head, finetune, contrastive");
        Assert.False(File.Exists(output));
        Train(output, "--method", "head");
        string other = _folder.Write("other.tsv", "Text\tKind\nthe cat\tbird\n");
        CommandRun.Of(["classify", "eval", "-m", output, "--data", other, .. Columns])
            .Fails(1, "line 2 has the label \"bird\", and the classes are \"cat\", \"dog\".");
        CommandRun.Of(["classify", "eval", "-m", _model, "--data", other, .. Columns])
            .Fails(1, "is a folder, a .rbe file is needed. Give a file.");
        CommandRun.Of("classify", "predict", "-m", output, "--text", _folder.Write("e.txt", "")).Fails(1, "holds no texts");
        CommandRun.Of("classify", "predict", "-m", output, "--text", other, "--json").Fails(2, "--json and the labels would both go");
        CommandRun.Of("classify", "predict", "-m", output, "--text", _folder.Write("l.txt", "a"), "--text-column", "x").Fails(2, "--text-column is of tables");
    }

    [Fact]
    public void Names_of_verbs_in_groups_are_whole()
    {
        CommandRun.Of("classify", "train").Fails(2, "See 'rbeml classify train --help'.");
        CommandRun.Of("classify", "tran").Fails(2, "Did you mean train?");
        CommandRun.Of("classify", "predict", "--modle", "x").Fails(2, "Did you mean --model?");
        CommandRun help = CommandRun.Of("classify", "eval", "--help");
        Assert.Contains("Usage: rbeml classify eval --model <model> --data <file> [options]", help.Out, StringComparison.Ordinal);
        Assert.Contains("Usage: rbeml classify <command> [options]", CommandRun.Of("classify").Out, StringComparison.Ordinal);
    }

    [Fact]
    public void Cancelled_before_there_is_a_head_it_writes_nothing()
    {
        string output = _folder.File("new/c.rbe");
        CommandRun run = CommandRun.Of(new CancellationToken(canceled: true), ["classify", "train", "-m", _model, "--data", _data, .. Columns, "-o", output]);
        Assert.Equal(130, run.Code);
        Assert.Empty(Directory.GetFileSystemEntries(_folder.File("new")));
    }

    [Fact]
    public void Cancelled_later_it_saves_what_was_learnt()
    {
        string output = _folder.File("c.rbe");
        CommandRun run = CommandRun.Until("training model and head", ["classify", "train", "-m", _model, "--data", _data, .. Columns, "-o", output]);
        Assert.Equal(130, run.Code);
        Assert.Contains("Stopped after", run.Out, StringComparison.Ordinal);
        ClassifierFile.Load(output).Dispose();
    }
}
