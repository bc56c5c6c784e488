using System.IO.Compression;
using System.Text;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Tests.Cli;

namespace RbeMl.Tests.Files;

/// <summary>What is no model is named for what it is, in every verb that takes one.</summary>
public sealed class ForeignTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string Make(string kind)
    {
        string path = _folder.File(kind.Replace(' ', '-') + ".bin");
        byte[] bytes = kind switch
        {
            "pointer" => Encoding.ASCII.GetBytes("version https://git-lfs.github.com/spec/v1\noid "
                + "sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 548105171\n"),
            "zip archive" => Zip(),
            "GGUF model" => [.. "GGUF"u8, 3, 0, 0, 0, .. new byte[60]],
            "ONNX model" => [8, 7, 0x12, 7, .. "pytorch"u8, .. new byte[60]],
            "Python pickle" => [0x80, 2, 0x8a, 10, .. new byte[60]],
            "web page" => Encoding.ASCII.GetBytes("<!DOCTYPE html><html><body>Entry not found, and no model either: 404</body></html>"),
            "HDF5 file" => [0x89, .. "HDF\r\n"u8, 0x1a, 10, .. new byte[60]],
            _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, null),
        };
        File.WriteAllBytes(path, bytes);
        return path;
    }

    private static byte[] Zip()
    {
        using MemoryStream stream = new();
        using (ZipArchive zip = new(stream, ZipArchiveMode.Create, leaveOpen: true)) zip.CreateEntry("archive/data.pkl");
        return stream.ToArray();
    }

    // Every verb that reads a model, a compressed file or weights, with what it reads.
    private CommandRun[] All(string path)
    {
        string ids = _folder.Write("ids.txt", "1 2 3 4"), file = _folder.File("some.rbe");
        if (!File.Exists(file)) CommandRun.Of("compress", new HuggingFaceModel(8, 16).Write(_folder.File("some")), "-o", file).Succeeds();
        return
        [
            CommandRun.Of("generate", "--model", path, "--tokens", "--prompt", "1"),
            CommandRun.Of("eval", "--model", path, "--tokens", ids),
            CommandRun.Of("eval", "--model", file, "--reference", path, "--tokens", ids),
            CommandRun.Of("finetune", "--model", path, "--tokens", ids, "--out", _folder.File("out")),
            CommandRun.Of("inspect", path),
            CommandRun.Of("inspect", file, "--reference", path),
            CommandRun.Of("decompress", path, "-o", _folder.File("dense.safetensors")),
            CommandRun.Of("compress", path, "-o", _folder.File("new.rbe")),
        ];
    }

    [Theory]
    [InlineData("pointer", "pointer that Git's large-file store left")]
    [InlineData("zip archive", "a zip archive")]
    [InlineData("GGUF model", "a GGUF model")]
    [InlineData("ONNX model", "an ONNX model")]
    [InlineData("Python pickle", "a Python pickle (PyTorch weights)")]
    [InlineData("web page", "a web page, as a download that failed leaves")]
    [InlineData("HDF5 file", "an HDF5 file")]
    public void Files_of_other_kinds(string kind, string message)
    {
        string path = Make(kind), folder = new HuggingFaceModel(8, 16).Write(_folder.File("model")), weights = Path.Combine(folder, "model.safetensors");
        Assert.All(All(path), run => run.Fails(1, message));
        File.Copy(path, weights, overwrite: true);
        CommandRun[] runs = All(folder);
        for (int i = 0; i < runs.Length; i++) runs[i].Fails(1, i is 4 or 6 ? "is the folder of a Hugging Face model, whose weights are dense" : message);
        Assert.Contains($"{weights}: is", Assert.Throws<RbeFileException>(() => ModelSource.Load(folder)).Message);
    }

    [Fact]
    public void A_pointer_in_place_of_any_file_of_a_model_is_named()
    {
        string pointer = Make("pointer");
        foreach (string name in (string[])["config.json", "model.safetensors.index.json", "vocab.json", "merges.txt", "tokenizer.json"])
        {
            string folder = new HuggingFaceModel(8, 16).Write(_folder.File("model-" + name)), file = Path.Combine(folder, name);
            if (name == "model.safetensors.index.json") File.Delete(Path.Combine(folder, "model.safetensors"));
            if (name == "merges.txt") File.WriteAllText(Path.Combine(folder, "vocab.json"), "{\"a\":0}");
            if (name == "vocab.json") File.WriteAllText(Path.Combine(folder, "merges.txt"), "");
            File.Copy(pointer, file, overwrite: true);
            string? problem = null;
            try
            {
                using ModelBundle bundle = ModelSource.Load(folder);
                problem = bundle.TokenizerProblem;
            }
            catch (RbeFileException error)
            {
                problem = error.Message;
            }

            Assert.StartsWith($"{file}: is a pointer", problem);
        }

        string model = _folder.File("m.rbe");
        CommandRun.Of("compress", new HuggingFaceModel(8, 16).Write(_folder.File("m")), "-o", model).Succeeds();
        CommandRun.Of("eval", "--model", model, "--tokens", pointer).Fails(1, "is a pointer");
    }

    [Theory]
    [InlineData("adapter", "an adapter for gpt2-large (adapter_config.json)")]
    [InlineData("pickled", "Convert its pytorch_model.bin to safetensors")]
    [InlineData("pickled shards", "Convert its pytorch_model-00001-of-00002.bin to safetensors")]
    [InlineData("GGUF", "a GGUF model (model.Q4.gguf)")]
    [InlineData("ONNX", "holds an ONNX model. Give the file itself, model.onnx.")]
    [InlineData("TensorFlow", "TensorFlow weights (tf_model.h5)")]
    [InlineData("RoBERTa", "of a model of type \"roberta\"")]
    public void Folders_of_other_kinds(string kind, string message)
    {
        string folder = new HuggingFaceModel(8, 16).Write(_folder.File("model"));
        File.Delete(Path.Combine(folder, "model.safetensors"));
        void Put(string name, string text = "") => File.WriteAllText(Path.Combine(folder, name), text);
        switch (kind)
        {
            case "adapter":
                Put("adapter_config.json", "{\"base_model_name_or_path\":\"gpt2-large\"}");
                Put("adapter_model.safetensors");
                File.Delete(Path.Combine(folder, "config.json"));
                break;
            case "pickled":
                Put("pytorch_model.bin");
                break;
            case "pickled shards":
                Put("pytorch_model-00002-of-00002.bin");
                Put("pytorch_model-00001-of-00002.bin");
                break;
            case "GGUF":
                Put("model.Q4.gguf");
                File.Delete(Path.Combine(folder, "config.json"));
                break;
            case "ONNX":
                Put("model.onnx");
                break;
            case "TensorFlow":
                Put("tf_model.h5");
                break;
            default:
                Put("config.json", "{\"model_type\":\"roberta\"}");
                break;
        }

        bool dense = File.Exists(Path.Combine(folder, "config.json"));
        CommandRun[] runs = All(folder);
        for (int i = 0; i < runs.Length; i++) runs[i].Fails(1, dense && i is 4 or 6 && dense ? "whose weights are dense" : message);
    }

    [Fact]
    public void The_folder_that_finetune_wrote_is_its_model()
    {
        TinyJob.Run(_folder);
        string folder = _folder.File("out"), file = _folder.File("out/model.rbe"), text = _folder.File("text.txt");
        Assert.Equal(
            CommandRun.Of("generate", "--model", file, "--prompt", "the", "--max-tokens", "5").Out,
            CommandRun.Of("generate", "--model", folder, "--prompt", "the", "--max-tokens", "5").Out);
        CommandRun.Of("eval", "--model", folder, "--text", text, "--reference", folder).Succeeds();
        CommandRun.Of("inspect", folder, "--reference", folder).Succeeds();
        CommandRun.Of("decompress", folder, "-o", _folder.File("dense")).Succeeds();
        CommandRun.Of("compress", folder, "-o", _folder.File("new.rbe")).Fails(2, "is compressed already");
        CommandRun.Of("finetune", "--model", folder, "--text", text, "--steps", "1", "--batch", "2", "--context", "8", "--out",
            _folder.File("more")).Succeeds();
        CommandRun.Of("inspect", Directory.CreateDirectory(_folder.File("none")).FullName).Fails(1, "is a folder without a model.rbe");
    }

    [Fact]
    public void Weights_where_a_model_is_needed_and_the_reverse()
    {
        string folder = new HuggingFaceModel(8, 16).Write(_folder.File("model")), file = _folder.File("model.rbe"),
            weights = Path.Combine(folder, "model.safetensors"), hidden = _folder.File("compressed");
        CommandRun.Of("compress", folder, "-o", file).Succeeds();
        File.Copy(file, hidden);
        CommandRun.Of("generate", "--model", weights, "--tokens", "--prompt", "1").Fails(1, $"Give its folder, {folder}");
        CommandRun.Of("inspect", weights).Fails(1, "looks like a safetensors file");
        CommandRun.Of("compress", hidden, "-o", _folder.File("new.rbe")).Fails(1, "it is a .rbe file, which is compressed already");
        CommandRun.Of("inspect", folder).Fails(1, "whose weights are dense");
    }
}
