using System.IO.Compression;
using System.Text;
using RbeMl.Files;
using RbeMl.Storage;
using RbeMl.Tests.Files;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Cli;

/// <summary>Whatever is wrong with an input, the message says what, and then what to do about it.</summary>
public sealed class MendTests(MendTests.Inputs inputs) : IClassFixture<MendTests.Inputs>
{
    private const string Written = "Give one that finetune or compress wrote.", Again = "Copy it again or write it anew.";
    private const string Folder = "a local folder with config.json, model.safetensors and, for texts, tokenizer.json, vocab.txt, or vocab.json and merges.txt";

    /// <summary>A command line, of files that <see cref="Inputs"/> makes, and how its message ends.</summary>
    public static TheoryData<string, string, string> Cases() => new()
    {
        { "inspect empty", "is empty, a .rbe file is needed.", Written },
        { "inspect noise", "is no .rbe file, or its start is damaged.", $"{Written} If it is one, copy it again as binary." },
        { "inspect zip", "is no .rbe file; it looks like a zip archive (an ML.NET model, or PyTorch weights).",
            "Give the model.rbe that finetune wrote beside an ML.NET model, or convert PyTorch weights to safetensors." },
        { "inspect dense.safetensors", "is no .rbe file; it looks like a safetensors file.", "Give the folder of its model, or compress it first." },
        { "inspect page", "is no .rbe file; it looks like a web page, as a download that failed leaves.", Written },
        { "inspect text", "is no .rbe file; it looks like text.", "Give a model here, and the text where texts are asked for." },
        { "inspect cut.rbe", "lies beyond its end at byte", Again },
        { "inspect flipped.rbe --verify", "is wrong.", Again },
        { "inspect newer.rbe", "or is damaged.", "Update RbeMl." },
        { "inspect folder", "is a folder without a model.rbe, a .rbe file is needed.", "Give one, or the folder that finetune wrote." },
        { "inspect none.rbe", "no such file.", "Check the name." },
        { "decompress none/none.rbe -o out", "no such folder.", "Check the name." },
        { "decompress noise -o out", "is no .rbe file, or its start is damaged.", $"{Written} If it is one, copy it again as binary." },
        { "generate -m none -p a", "no such file.", $"Nothing is downloaded: give {Folder}, or a file." },
        { "generate -m owner/none -p a", "no such folder.", $"Nothing is downloaded: give {Folder}, or a file." },
        { "generate -m folder -p a", "holds no config.json, so it is no model.", $"Give {Folder}, or a .rbe file." },
        { "generate -m pickled -p a", "holds pickled weights, which can run code and are not read.", "Convert its pytorch_model.bin to safetensors." },
        { "generate -m unlike -p a", "is of a model of type \"llama\"; \"gpt2\" or \"bert\" can be read.", "Give the folder of a GPT-2 or a BERT." },
        { "generate -m broken -p a", "is no JSON", "Write it again." },
        { "generate -m bare -p a", "holds neither model.safetensors nor model.safetensors.index.json.", $"Give {Folder}." },
        { "generate -m small -p a", "its configuration is wrong: ", "Correct it, or download the model again." },
        { "compress none -o out.rbe", "no such file.", $"Nothing is downloaded: give {Folder}, or a file." },
        { "compress none.safetensors -o out.rbe", "no such file.", "Check the name." },
        { "compress folder -o out.rbe", "holds no config.json, so it is no model.", $"Give {Folder}, or a .rbe file." },
        { "compress zip -o out.rbe", "is no safetensors file; it looks like a zip archive (an ML.NET model, or PyTorch weights).",
            "Give the weights as safetensors." },
        { "compress cut.safetensors -o out.rbe", "is damaged: ", Again },
        { "compress empty -o out.rbe", "it has 0 bytes, a safetensors file has at least 8.", Again },
        { "compress one -o out.rbe", "it has 1 byte, a safetensors file has at least 8.", Again },
        { "eval -m model.rbe --text empty", "is empty.", "Give a text." },
        { "eval -m model.rbe --text one", "it has 1 token, at least 2 are needed to predict one from another.", "Give a longer text." },
        { "eval -m model.rbe --text noise", "is not UTF-8.",
            "Convert it to UTF-8, name the encoding it has (--encoding latin1, for example), or accept U+FFFD for such bytes (--lossy)." },
        { "eval -m model.rbe --text folder", "is a folder, where a text file is needed.", "Give a file in it." },
        { "eval -m model.rbe --text none", "no such file.", "Check the name." },
        { "eval -m model.rbe --tokens empty", "holds no token ids.", "Write one sequence of whole numbers a line." },
        { "finetune --tokens ids1 --out out", "a sequence of one id, 7, predicts nothing.", "Give at least two a line, or the whole stream on one line." },
        { "finetune --tokens ids3 --out out", "3 token ids are too few to set a tenth aside for validation.", "Give more, or a --validation file." },
        { "finetune --text empty --out out", "is empty.", "Give a text." },
        { "embed -m none --text text", "no such file.", $"Nothing is downloaded: give {Folder}, or a file." },
        { "embed -m model.rbe --text text", "an encoder is needed, which makes vectors of texts.",
            "Give the folder or .onnx file of a BERT, or a .rbe file of one." },
        { "embed -m bert --text none", "no such file.", "Check the name." },
        { "embed -m bert --text empty", "holds no texts.", "Give at least one line." },
        { "embed -m bert --text noise", "is not UTF-8.",
            "Convert it to UTF-8, name the encoding it has (--encoding latin1, for example), or accept U+FFFD for such bytes (--lossy)." },
        { "classify train -m none --data rows.tsv -o out.rbe", "no such file.", $"Nothing is downloaded: give {Folder}, or a file." },
        { "classify train -m bert --data none.tsv -o out.rbe", "no such file.", "Check the name." },
        { "classify train -m bert --data alike.tsv -o out.rbe", "two classes at least are needed.",
            "Give texts of others, or name the right column with --label-column." },
        { "classify train -m bert --data blank.tsv -o out.rbe", "line 3 has an empty label, which is no class.", "Write the label, or leave the row out." },
        { "classify train -m bert --data rows.tsv -o model.rbe", "is there already and is no classifier, so it is not replaced.",
            "Choose another name, or remove it." },
        { "classify predict -m model.rbe --text text", "holds a model, a classifier is needed.", "Give a file that a classifier was saved to." },
        { "classify eval -m noise --data rows.tsv", "is no .rbe file, or its start is damaged.", $"{Written} If it is one, copy it again as binary." },
        { "finetune --model noise --text text --out out", "is no .rbe file, or its start is damaged.", $"{Written} If it is one, copy it again as binary." },
    };

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_message_says_what_is_wrong_and_then_the_mend(string line, string wrong, string mend)
    {
        string error = inputs.Run(line).Fails(1, wrong).Error;
        Assert.EndsWith($" {mend}\n", error);
        Assert.Contains(wrong.TrimEnd('.'), error[..^(mend.Length + 2)]); // before the mend
        Assert.Matches("[.)] (Give|Check|Choose|Copy|Update|Nothing is downloaded: give|Convert|Write|Correct) ", error);
    }

    [Fact]
    public void A_full_disk_is_told_with_the_name_of_the_file_that_was_asked_for()
    {
        if (!File.Exists("/dev/full")) return; // Linux
        string path = Path.Combine(inputs.Folder, "out.json");
        RbeFileException error = Assert.Throws<RbeFileException>(() => AtomicFile.Write(path, Fill));
        Assert.Equal($"{path}: cannot be written (No space left on device). Choose a folder you may write to, with space left.", error.Message);
        error = Assert.Throws<RbeFileException>(() =>
            AtomicFolder.Write(Path.Combine(inputs.Folder, "made"), _ => false, folder => File.WriteAllBytes(Path.Combine(folder, "none", "x"), [1])));
        Assert.Equal($"{Path.Combine(inputs.Folder, "made")}: cannot be written (the folder does not exist). Choose a folder you may "
            + $"write to, with space left.", error.Message);
        error = Assert.Throws<RbeFileException>(() =>
            AtomicFolder.Write(Path.Combine(inputs.Folder, "made"), _ => false, folder => AtomicFile.Write(Path.Combine(folder, "x"), Fill)));
        Assert.Equal($"{Path.Combine(inputs.Folder, "made")}: cannot be written (No space left on device). Choose a folder you may write "
            + $"to, with space left.", error.Message);

        static void Fill(Stream file)
        {
            using FileStream full = new("/dev/full", FileMode.Open, FileAccess.Write);
            full.Write(new byte[1 << 16]);
        }
    }

    /// <summary>A small model, what can be made wrong of it, and what is no model.</summary>
    public sealed class Inputs : IDisposable
    {
        private readonly TemporaryFolder _folder = new();

        public Inputs()
        {
            TinyJob.Run(_folder, "--steps", "1");
            byte[] model = File.ReadAllBytes(_folder.File("out/model.rbe"));
            Directory.Delete(_folder.File("out"), recursive: true);
            Bytes("model.rbe", model);
            Bytes("cut.rbe", model[..^9]);
            Bytes("flipped.rbe", [.. model[..^1], (byte)(model[^1] ^ 1)]);
            Bytes("newer.rbe", [.. model[..8], 99, .. model[9..]]);
            Bytes("empty", []);
            Bytes("one", "t"u8.ToArray());
            Bytes("noise", [.. Enumerable.Range(0, 200).Select(i => (byte)(200 - i))]);
            Bytes("text", Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat(TinyJob.Text, 40))));
            Bytes("page", "<!DOCTYPE html><html><body>Not found</body></html>"u8.ToArray());
            _folder.Write("rows.tsv", "text\tlabel\nthe cat\ta\nthe dog\tb\n");
            _folder.Write("alike.tsv", "text\tlabel\nthe cat\ta\nthe dog\ta\n");
            _folder.Write("blank.tsv", "text\tlabel\nthe cat\ta\nthe dog\t\n");
            EncoderJob.Model(_folder);
            Bytes("ids1", "7\n"u8.ToArray());
            Bytes("ids3", "1 2 3\n"u8.ToArray());
            using (ZipArchive zip = ZipFile.Open(_folder.File("zip"), ZipArchiveMode.Create)) zip.CreateEntry("x");
            SafetensorsWriter.Write(_folder.File("dense.safetensors"), [SafetensorsSource.From("w", Numbers.Normal(64 * 64, 1), [64, 64])]);
            Bytes("cut.safetensors", File.ReadAllBytes(_folder.File("dense.safetensors"))[..^5]);
            Model("folder", null);
            Model("pickled", null);
            Bytes("pickled/pytorch_model.bin", [0x80, 2]);
            Model("unlike", """{ "model_type": "llama" }""");
            Model("broken", "{");
            Model("bare", """{ "model_type": "gpt2" }""");
            Model("small", """{ "model_type": "gpt2", "n_embd": 9, "n_head": 2, "n_layer": 1, "vocab_size": 9, "n_positions": 8 }""");
            File.Copy(_folder.File("dense.safetensors"), _folder.File("small/model.safetensors"));
        }

        /// <summary>Where they are.</summary>
        public string Folder => _folder.Path;

        internal CommandRun Run(string line)
        {
            string[] words = line.Split(' ');
            int first = words[0] == "classify" ? 2 : 1; // of a group of verbs the second word is one
            for (int i = first; i < words.Length; i++)
            {
                if (words[i][0] != '-' && (i == first || words[i - 1] is not "-p")) words[i] = _folder.File(words[i]);
            }

            return CommandRun.Of(words);
        }

        public void Dispose() => _folder.Dispose();

        private void Bytes(string name, byte[] bytes) => File.WriteAllBytes(_folder.File(name), bytes);

        private void Model(string name, string? configuration)
        {
            Directory.CreateDirectory(_folder.File(name));
            if (configuration is not null) _folder.Write($"{name}/config.json", configuration);
        }
    }
}
