using System.Text.Json;
using RbeMl.Cli.Data;
using RbeMl.Tests.Files;
using RbeMl.Tests.Models;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.Tests.Cli;

/// <summary>What <c>finetune --text</c> takes: files, folders, patterns; JSON lines, tables, lines.</summary>
public sealed class FinetuneDataTests : IDisposable
{
    private const string Chat = "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":\"yo\"}]}";
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static IEnumerable<DataDocument> Read(string? format, string? column, params string[] files) =>
        new DocumentFiles(files, format, column, TextOptions.Default).Read(null, CancellationToken.None);

    private static string Rows(int count, Func<int, string> row) => string.Concat(Enumerable.Range(0, count).Select(i => row(i) + "\n"));

    private JsonElement Metrics => JsonDocument.Parse(File.ReadAllText(_folder.File("out/metrics.json"))).RootElement;

    [Fact]
    public void Rows_are_documents_of_three_kinds()
    {
        string file = _folder.Write("a.jsonl", $"{{\"text\":\"one\",\"id\":1}}\n\n{{\"prompt\":\"a\",\"completion\":\"b\"}}\n{Chat}\n");
        DataDocument[] documents = [.. Read(null, null, file)];
        Assert.Equal([(1, DocumentKind.Text), (3, DocumentKind.Completion), (4, DocumentKind.Conversation)], documents.Select(d => (d.Line, d.Kind)));
        Assert.Equal([("", "a", false), ("", "b", true)], documents[1].Parts.Select(part => (part.Role, part.Text, part.Learnt)));
        Assert.Equal([("user", "hi", false), ("assistant", "yo", true)], documents[2].Parts.Select(part => (part.Role, part.Text, part.Learnt)));
        string table = _folder.Write("a.csv", "prompt,completion,body\n\"x,1\",y,z\n"), tabs = _folder.Write("a.tsv", "text\tid\nq\t1\n");
        Assert.Equal(["x,1", "y", "z", "q"], [.. Read(null, null, table).Single().Parts.Select(part => part.Text),
            Read(null, "body", table).Single().Parts[0].Text, Read(null, null, tabs).Single().Parts[0].Text]);
        string lines = _folder.Write("names.txt", "ann\n\nbob\n");
        Assert.Equal([("ann", 1), ("bob", 3)], Read("lines", null, lines).Select(d => (d.Parts[0].Text, d.Line)));
        Assert.Equal("ann\n\nbob\n", string.Concat(Read(null, null, lines).Single().Pieces));
    }

    /// <summary>Every malformed line: file, line, what is there, what is expected.</summary>
    [Theory]
    [InlineData("{\"body\":1}",
        "has none of \"text\", \"prompt\" with \"completion\", and \"messages\"; it has \"body\". Name the field of the texts with --text-column.")]
    [InlineData("[1]", "is no JSON object. Write one object a line.")]
    [InlineData("{\"text\":", "is no JSON")]
    [InlineData("{\"text\":5}", "has number in field \"text\", where a text is needed.")]
    [InlineData("{\"text\":\"\"}", "has an empty text, of which nothing is learnt.")]
    [InlineData("{\"prompt\":\"a\"}", "has no field \"completion\"; it has \"prompt\".")]
    [InlineData("{\"completion\":\"a\"}", "has no field \"prompt\"")]
    [InlineData("{\"prompt\":\"a\",\"completion\":\"\"}", "has an empty \"completion\", so that nothing is learnt of it.")]
    [InlineData("{\"prompt\":\"\",\"completion\":\"a\"}", "has an empty \"prompt\"")]
    [InlineData("{\"prompt\":[],\"completion\":\"a\"}", "has array in field \"prompt\"")]
    [InlineData("{\"messages\":\"hi\"}", "has a text in \"messages\", where a list of messages is needed.")]
    [InlineData("{\"messages\":[]}", "has an empty list in \"messages\"")]
    [InlineData("{\"messages\":[\"hi\"]}", "is damaged: message 1 is a text, where an object is needed.")]
    [InlineData("{\"messages\":[{\"content\":\"hi\"}]}", "is damaged: message 1 has no \"role\".")]
    [InlineData("{\"messages\":[{\"role\":\"user\",\"content\":null}]}", "is damaged: message 1 has null in \"content\", where a text is needed.")]
    [InlineData("{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
        "has no message of the role \"assistant\", so that nothing is learnt of it; it has \"user\".")]
    [InlineData("{\"messages\":[{\"role\":\"assistant\",\"content\":\"\"}]}", "is damaged: message 1 is an empty answer of the assistant")]
    public void A_malformed_line_is_named(string line, string message)
    {
        string file = _folder.Write("a.jsonl", Chat + "\n\n" + line + "\n");
        RbeFileException error = Assert.Throws<RbeFileException>(() => Read(null, null, file).Count());
        Assert.Contains($"{file}: line 3 {message}", error.Message);
    }

    [Fact]
    public void Completions_and_answers_alone_are_learnt()
    {
        Gpt2Tokenizer chat = ScriptedModel.Bytes(Gpt2Tokenizer.EndOfText, "<|im_start|>", "<|im_end|>"), plain = ScriptedModel.Bytes(Gpt2Tokenizer.EndOfText);
        string file = _folder.Write("a.jsonl", $"{{\"prompt\":\"ab\",\"completion\":\"cd\"}}\n{Chat}\n");
        DataDocument[] documents = [.. Read(null, null, file)];
        Assert.Equal("ab[cd\u0100]", Marked(plain, documents[0]));
        Assert.Equal("\u0101user\nhi\u0102\n\u0101assistant\n[yo\u0102\u0100]", Marked(chat, documents[1]));
        Assert.Equal("user: hi\nassistant:[ yo\n\u0100]", Marked(plain, documents[1]));
        Assert.Equal("user: hi\nassistant:[ yo\n]", Marked(new ByteTokenizer(), documents[1])); // no end token
        Assert.Equal("ab[cd\n]", Marked(new ByteTokenizer(), documents[0]));
        Assert.Equal("\u0101user\nhi\u0102\n\u0101assistant\n", Letters(new DocumentEncoder(chat, 259, false).Prompt(documents[1], _ => "", 99)));
        Assert.Equal("user: hi\nassistant:", Letters(new DocumentEncoder(plain, 257, false).Prompt(documents[1], _ => "", 99)));
        Assert.Equal("ab", Letters(new DocumentEncoder(plain, 257, false).Prompt(documents[0], _ => "", 99)));

        static string Letters(IEnumerable<int> ids) => string.Concat(ids.Select(id => (char)id));

        static string Marked(ITokenizer tokenizer, DataDocument document)
        {
            DocumentEncoder encoder = new(tokenizer, tokenizer.Vocabulary, special: false);
            DocumentTokens tokens = new(encoder.EndToken);
            encoder.Add(document, tokens);
            int[] ids = tokens.Ids.ToArray(), learnt = tokens.Learnt!.ToArray();
            Assert.True(learnt.AsSpan(Array.IndexOf(learnt, 1)).IndexOf(0) < 0);
            return Letters(ids[..Array.IndexOf(learnt, 1)]) + "[" + Letters(ids[Array.IndexOf(learnt, 1)..]) + "]";
        }
    }

    [Fact]
    public void Folders_and_patterns_stand_for_their_files()
    {
        foreach (string folder in new[] { "d/sub", "d/results", "empty" }) Directory.CreateDirectory(_folder.File(folder));
        foreach (string name in new[] { "d/b.txt", "d/a.md", "d/sub/c.jsonl", "d/sub/d.bin", "d/.hidden.txt", "d/results/e.txt" }) _folder.Write(name, "x");
        string root = _folder.File("d"), results = _folder.File("d/results");
        Assert.Equal(["a.md", "b.txt", "sub/c.jsonl"], Names(root));
        Assert.Equal(["a.md", "b.txt", "sub/c.jsonl"], Names(root + "/"));
        Assert.Equal(["b.txt"], Names(Path.Combine(root, "*.txt")));
        Assert.Equal(["b.txt", "sub/c.jsonl"], Names(Path.Combine(root, "**/b.*")).Concat(Names(Path.Combine(root, "s*/?.jsonl"))));
        Assert.Contains("matches no file", Assert.Throws<RbeFileException>(() => Names(Path.Combine(_folder.File("none"), "*.txt"))).Message);
        Assert.Contains("holds no texts to train on", Assert.Throws<RbeFileException>(() => Names(_folder.File("empty"))).Message);

        string[] Names(string word) => [.. DataFiles.Expand([word], results).Concat(DataFiles.Expand([word], results + "/")).Distinct()
            .Select(file => Path.GetRelativePath(root, file).Replace('\\', '/'))];
    }

    /// <summary>The held-out tenth is of whole documents, other ones for another seed; a run that was stopped goes on with the same order.</summary>
    [Fact]
    public void Json_lines_are_documents_of_which_a_tenth_is_held_out()
    {
        string file = _folder.Write("a.jsonl", Rows(40, i => $"{{\"prompt\":\"{i} and {i} are \",\"completion\":\"{2 * i}\"}}"));
        string[] args = TinyJob.Args(_folder, "--text", file, "--steps", "8", "--state-every", "3", "--overwrite");
        CommandRun.Of(args).Succeeds();
        Assert.Equal("a.jsonl: 40 documents, 4 of them held out", Metrics.GetProperty("data").GetString());
        Assert.Equal("on", Metrics.GetProperty("settings").GetProperty("--pack").GetString());
        Assert.EndsWith(" are ", Metrics.GetProperty("samples")[0].GetProperty("prompt").GetString());
        string whole = Weights();
        CommandRun stopped = CommandRun.Until("step 5/", args);
        Assert.Equal(130, stopped.Code);
        CommandRun.Of([.. args, "--resume"]).Succeeds();
        Assert.Equal(whole, Weights());

        string[] held = [.. new ulong[] { 3, 3, 4 }.Select(Held)];
        Assert.Equal(held[0], held[1]);
        Assert.NotEqual(held[0], held[2]);

        string Held(ulong seed)
        {
            TrainingDocuments documents = new(new DocumentFiles([file], null, null, TextOptions.Default), null, seed, false,
                new Progress<TextProgress>(), default);
            int[] train = [.. documents.Train(null).Select(d => d.Line)], validation = [.. documents.Validation(null).Select(d => d.Line)];
            Assert.Equal((36, 4), (train.Length, validation.Length));
            Assert.Equal(Enumerable.Range(1, 40), train.Concat(validation).Order());
            return string.Join(' ', validation);
        }
    }

    /// <summary>Long rows are encoded in pieces, to the ids and marks of the whole.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_row_of_millions_of_characters_has_the_ids_and_marks_of_a_short_one(bool chat)
    {
        string prompt = string.Concat(Enumerable.Range(0, 90_000).Select(i => $"{i} and ")),
            answer = string.Concat(Enumerable.Range(0, 70_000).Select(i => $"{i}, "));
        DataDocument document = chat
            ? new("a.jsonl", 1, DocumentKind.Conversation, [new("user", prompt, false), new("assistant", answer, true)])
            : new("a.jsonl", 1, DocumentKind.Completion, [new("", prompt, false), new("", answer, true)]);
        Gpt2Tokenizer tokenizer = ScriptedModel.Bytes(Gpt2Tokenizer.EndOfText);
        string before = chat ? $"user: {prompt}\nassistant:" : prompt, after = chat ? $" {answer}\n" : answer;
        int[] expected = [.. tokenizer.Encode(before + after), tokenizer.EndToken!.Value];
        DocumentEncoder encoder = new(tokenizer, tokenizer.Vocabulary, false);
        DocumentTokens tokens = new(encoder.EndToken);
        encoder.Add(new DataDocument("a.jsonl", 1, DocumentKind.Text, [new("", "short", true)]), tokens);
        encoder.Add(document, tokens);
        encoder.Add(new DataDocument("a.jsonl", 1, DocumentKind.Text, [new("", "short", true)]), tokens);
        long[] starts = tokens.Starts;
        int[] ids = tokens.Ids.ToArray(), learnt = tokens.Learnt!.ToArray();
        Assert.Equal(expected, ids[(int)starts[1]..(int)starts[2]]);
        int read = tokenizer.Encode(before).Length;
        Assert.Equal([.. Enumerable.Repeat(1, 6), .. Enumerable.Repeat(0, read), .. Enumerable.Repeat(1, expected.Length - read + 6)], learnt);
        Assert.Equal(tokenizer.Encode(chat ? before : prompt)[^20..], encoder.Prompt(document, _ => "", 20));
    }

    private string Weights() => Metrics.GetProperty("weightsHash").GetString()!;

    [Fact]
    public void Packing_column_and_format_change_what_is_learnt()
    {
        // Long and short ones, of which several share a sequence of 16.
        string file = _folder.Write("a.jsonl", Rows(30, i => $"{{\"text\":\"{Text(i)}\",\"body\":\"some {i} dogs sat\"}}"));
        string lines = _folder.Write("lines.txt", Rows(30, Text));
        string[] weights =
        [
            .. new[] { "", "--pack off", "--pack isolated", "--text-column body", "--data-format text", "--data-format lines" }.Select(words =>
            {
                TinyJob.Run(_folder, ["--text", file, .. words.Split(' ', StringSplitOptions.RemoveEmptyEntries), "--overwrite"]);
                Assert.Equal(words.Length > 0, words.Length > 0 && Metrics.GetProperty("settings").TryGetProperty(words.Split(' ')[0], out _));
                return Weights();
            }),
        ];
        Assert.Equal(weights.Length, weights.Distinct().Count());
        TinyJob.Run(_folder, "--text", lines, "--data-format", "lines", "--overwrite");
        Assert.Equal(weights[0], Weights());
        TinyJob.Run(_folder, "--text", file, "--validation", lines, "--overwrite");
        Assert.Equal("a.jsonl: 30 documents, 1 held out in lines.txt", Metrics.GetProperty("data").GetString());

        static string Text(int i) => i % 3 == 0 ? $"the {i} cats" : $"{i} a";
    }

    /// <summary>A file that is named twice, also by a pattern, is learnt twice; a line says so.</summary>
    [Fact]
    public void A_text_given_twice_is_named()
    {
        string text = _folder.Write("a.txt", string.Concat(Enumerable.Repeat("the cat sat. ", 40)));
        string[] args = TinyJob.Args(_folder, "--overwrite", "--text", text, _folder.Write("b.txt", "the dog sat on the cat. "));
        CommandRun once = CommandRun.Of(args), twice = CommandRun.Of([.. args, _folder.File("a.*")]);
        once.Succeeds();
        twice.Succeeds();
        Assert.DoesNotContain("more than once", once.Error, StringComparison.Ordinal);
        Assert.Contains("a.txt is given more than once, and is learnt as often.", twice.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_of_ten_texts_holds_a_whole_one_out()
    {
        Directory.CreateDirectory(_folder.File("texts"));
        for (int i = 0; i < 10; i++) _folder.Write($"texts/{i}.txt", string.Concat(Enumerable.Repeat($"the {i} cats. ", 9)));
        TinyJob.Run(_folder, "--text", _folder.File("texts"));
        Assert.Equal("10 files of texts: 10 documents, 1 of them held out", Metrics.GetProperty("data").GetString());
    }

    [Theory]
    [InlineData("{\"text\":\"a\"}\n", "--text a.txt", "a.txt: begins with a JSON object, and its name is not that of JSON lines.")]
    [InlineData("{\"text\":\"a\"}\n", "--text a.jsonl", "holds one document, and one more is needed to hold out for validation.")]
    [InlineData("text\n", "--text a.csv", "holds no rows. Give at least one")]
    [InlineData("{\"text\":\"é\"}\n{\"text\":\"b\"}\n", "--text a.jsonl --text-column other", "line 1 has no field \"other\"; it has \"text\".")]
    public void Bad_data_is_refused_and_nothing_written(string content, string words, string message)
    {
        string[] args = [.. words.Split(' ')];
        args[1] = _folder.Write(args[1], content);
        CommandRun.Of(["finetune", .. TinyJob.Shape, "--out", _folder.File("out"), "--steps", "2", .. args]).Fails(1, message);
        Assert.False(File.Exists(_folder.File("out/model.rbe")));
    }

    [Theory]
    [InlineData("--pack off", "--pack says how texts are read. Give --text, or leave it out.")]
    [InlineData("--text a.txt --pack off", "--pack is for documents, and a.txt is one text.")]
    [InlineData("--text a.txt --text-column body", "--text-column is for files of rows, and a.txt is a text.")]
    [InlineData("--text a.txt --data-format xml", "use one of text, lines, jsonl, csv, tsv")]
    public void Options_without_an_effect_are_refused(string words, string message) =>
        CommandRun.Of(["finetune", .. words.Split(' ')]).Fails(2, message);
}
