using System.Text;
using System.Text.Json.Nodes;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Tests.Support;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.Tests.Files;

/// <summary>
/// What other loaders were caught with: counts that allocate, names that become paths, headers that are never done with, links. (Sizes that wrap, offsets that
/// overlap or lie beyond the end, and headers that claim 2^63 are in the tests of each format.)
/// </summary>
public sealed class LoaderWeaknessTests : IDisposable
{
    // What a load takes beside the file: buffers of a fixed size.
    private const long Room = 3 << 20;
    private const int Many = 50_000, Tensors = 10_000;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("layers", 4096)]
    [InlineData("layers", 2_000_000_000)]
    [InlineData("maxSequenceLength", 10_000_000)]
    [InlineData("vocabulary", 10_000_000)]
    [InlineData("width", 65_536)]
    [InlineData("feedForwardWidth", 262_144)]
    [InlineData("heads", 1_000_000_000)]
    public void A_count_in_a_model_takes_no_memory(string key, int value)
    {
        using TransformerModel<float> model = SmallModel.Create();
        (JsonObject metadata, List<RbeTensor> tensors) = ModelFile.Content(model, null, null);
        metadata["config"]![key] = value;
        AssertCheap(metadata, tensors, path => ModelFile.Load(path));
        AssertCheap(metadata, tensors, path => ModelFile.Load(new MemoryStream(File.ReadAllBytes(path))), copies: 1);
    }

    [Theory]
    [InlineData("rows", 16_000_000)]
    [InlineData("columns", 16_000_000)]
    [InlineData("runs", 1024)]
    [InlineData("bits", 8)]
    [InlineData("outliers", 64)]
    public void A_count_in_a_matrix_takes_no_memory(string key, int value)
    {
        using TransformerModel<float> model = SmallModel.Create();
        (JsonObject metadata, List<RbeTensor> tensors) = ModelFile.Content(model, null, null);
        metadata["matrices"]![0]![key] = value;
        if (key == "outliers") metadata["matrices"]![0]!["bits"] = 4;
        AssertCheap(metadata, tensors, path => ModelFile.Load(path));
    }

    [Theory]
    [InlineData(1 << 20)]
    [InlineData(1_000_000_000)]
    public void A_count_of_classes_takes_no_memory(int classes)
    {
        using TransformerModel<float> model = SmallModel.Create();
        using SequenceClassifier<float> classifier = new(model, new ClassifierConfig { Classes = 2 }, 1);
        string sound = _folder.File("sound.rbe");
        ClassifierFile.Save(sound, classifier);
        using RbeContainer file = RbeContainer.Open(sound);
        JsonObject metadata = JsonNode.Parse(file.Metadata.GetRawText())!.AsObject();
        metadata["classifier"]!["classes"] = classes;
        AssertCheap(metadata, [.. file.Tensors.Select(t => Copy(file, t))], path => ClassifierFile.Load(path));
    }

    [Fact]
    public void A_count_of_merges_takes_no_memory()
    {
        // 1,000 merges that double a token each: 2^1000 bytes, were it not for the limit of a token.
        JsonObject json =
            new()
            {
                ["kind"] = "bpe",
                ["merges"] = new JsonArray([.. Enumerable.Range(0, 1000).SelectMany(i => new JsonNode?[] { i == 0 ? 97 : 255 + i, i == 0 ? 97 : 255 + i })])
            };
        Assert.Contains("more than", Assert.Throws<TokenException>(() => TokenizerJson.Load(System.Text.Json.JsonSerializer.SerializeToElement(json))).Message);
    }

    [Fact]
    public void Tokens_take_memory_in_proportion_to_what_lists_them()
    {
        // "aa", 4 a, ... 128 a, and that with one byte more, and one more: 50,000 tokens of 129 bytes and more.
        List<int> merges = [];
        for (int i = 0; i < 7; i++) merges.AddRange(i == 0 ? [97, 97] : [255 + i, 255 + i]);
        for (int first = 0, count = 0; count < Many; first++)
        {
            for (int b = 0; b < 256 && count < Many; b++, count++) merges.AddRange([262 + first, b]);
        }

        foreach (string kind in (string[])["bpe", "gpt2"])
        {
            JsonObject json = new()
            {
                ["kind"] = kind,
                ["merges"] = new JsonArray([.. merges.Select(id => (JsonNode)id)]),
                ["bytes"] = new JsonArray([.. Enumerable.Range(0, 256).Select(id => (JsonNode)id)]),
                ["special"] = new JsonObject(),
            };
            Assert.Contains("bytes together",
                Assert.Throws<TokenException>(() => TokenizerJson.Load(System.Text.Json.JsonSerializer.SerializeToElement(json))).Message);
        }

        TokenException gap =
            Assert.Throws<TokenException>(() => new Gpt2Tokenizer([.. Enumerable.Range(0, 256)], [], new Dictionary<string, int> { ["<end>"] = 1_000_000 }));
        Assert.Contains("id 1000000", gap.Message);
        Assert.Contains("257 tokens", gap.Message);
    }

    [Fact]
    public void What_is_learned_of_any_text_can_be_loaded_again()
    {
        // Words of 384 bytes, each twice: tokens of all lengths up to that.
        Random random = new(3);
        string[] words = [.. Enumerable.Range(0, 20).Select(_ => string.Concat(Enumerable.Range(0, 128).Select(_ => (char)random.Next(0x4E00, 0x9FA5))))];
        BytePairTokenizer learned = BytePairTokenizer.Train(string.Join(' ', [.. words, .. words]), 20_000);
        ITokenizer loaded = TokenizerJson.Load(System.Text.Json.JsonSerializer.SerializeToElement(TokenizerJson.Save(learned)));
        Assert.Equal(learned.Vocabulary, loaded.Vocabulary);
        Assert.InRange(learned.Merges.Count, 2500, 20_000);
    }

    [Fact]
    public void Many_tensors_are_read_in_time_and_memory_that_grow_with_them()
    {
        string container = _folder.File("many.rbe"), set = _folder.File("set.rbe"), safetensors = _folder.File("many.safetensors"),
            index = _folder.File("model.safetensors.index.json");
        byte[] one = [1];
        RbeContainerWriter.Write(container, [], [.. Names(Tensors).Select(name => RbeTensor.From(name, one, 1))]);
        RbeMatrixSet.Save(set, [], Names(Tensors).Select(name => RbeDenseTensor.From(name, "U8", [1], one)));
        SafetensorsWriter.Write(safetensors, Names(Tensors).Select(name => SafetensorsSource.From(name, SafetensorsElement.U8, [1], sink => sink(one))), null);
        File.WriteAllText(index,
            new JsonObject
            {
                ["weight_map"] =
            new JsonObject(Names(Tensors).Select(name => KeyValuePair.Create(name, (JsonNode?)"many.safetensors")))
            }.ToJsonString());
        using (RbeContainer file = RbeContainer.Open(container)) Assert.All(Names(Tensors), name => Assert.True(file.Contains(name)));
        using (RbeMatrixSet file = RbeMatrixSet.Open(set)) file.DenseTensors.ToList().ForEach(tensor => file.CopyDense(tensor.Name, Stream.Null));
        using (SafetensorsSet file = SafetensorsSet.Open(index)) Assert.Equal(Tensors, file.Tensors.Count(tensor => file.Find(tensor.Name).ByteLength == 1));
        Assert.Equal(Tensors, RbeInspection.Read(container).Tensors.Count);
        DenseExport.Write(set, _folder.File("out.safetensors"));

        // Ten times the tensors, about ten times the memory: a hundred would be quadratic. (Lists and tables double as they grow.)
        double few = Allocated(Tensors / 10), many = Allocated(Tensors);
        Assert.InRange(many / few, 5, 30);

        double Allocated(int count)
        {
            string path = _folder.File($"{count}.rbe");
            RbeContainerWriter.Write(path, [], [.. Names(count).Select(name => RbeTensor.From(name, one, 1))]);
            long before = GC.GetAllocatedBytesForCurrentThread();
            RbeContainer.Open(path).Dispose();
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }
    }

    [Fact]
    public void The_header_is_kept_once()
    {
        // A long text in the metadata: its bytes, and little else.
        string path = _folder.File("text.rbe");
        RbeContainerWriter.Write(path, new JsonObject { ["text"] = new string('a', 4 << 20) }, []);
        RbeContainer.Open(path).Dispose(); // fills the pool of arrays that the reader of JSON borrows from and gives back
        long length = new FileInfo(path).Length, before = GC.GetAllocatedBytesForCurrentThread();
        using RbeContainer file = RbeContainer.Open(path);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, length, (length * 3 / 2) + 100_000);
    }

    [Fact]
    public void Names_that_look_like_paths_stay_names()
    {
        string path = _folder.File("set.rbe"), inner = Directory.CreateDirectory(_folder.File("inner")).FullName,
            output = Path.Combine(inner, "out.safetensors");
        string[] names = ["../x", "/absolute/x", "a\0b", "..\\y", "C:\\z", "\u001b[2J", "."];
        RbeMatrix matrix = RbeCompressor.Compress(new float[32 * 32], 32, 32, new RbeOptions { Tile = 32 });
        RbeMatrixSet.Save(path, names.Select(name => new RbeNamedMatrix(name, matrix)),
            names.Select(name => RbeDenseTensor.From(name + "d", "U8", [1], new byte[] { 1 })));
        DenseExport.Write(path, output);
        using SafetensorsFile file = SafetensorsFile.Open(output);
        Assert.Equal([.. names, .. names.Select(name => name + "d")], file.Tensors.Select(t => t.Name).ToHashSet());
        Assert.Equal([output], Directory.GetFileSystemEntries(inner));
        Assert.Equal([inner, path], Directory.GetFileSystemEntries(_folder.Path).Order(StringComparer.Ordinal));
    }

    /// <summary>
    /// Links are followed on purpose: the cache of Hugging Face holds a model as links to blobs. What a link can reach, whoever gave the
    /// folder's name can read anyway.
    /// </summary>
    [Fact]
    public void Links_in_a_model_folder_are_read()
    {
        string folder = new HuggingFaceModel(8, 16).Write(_folder.File("model")), blobs = Directory.CreateDirectory(_folder.File("blobs")).FullName;
        foreach (string file in Directory.GetFiles(folder))
        {
            string blob = Path.Combine(blobs, Path.GetFileName(file) + ".blob");
            File.Move(file, blob);
            try
            {
                File.CreateSymbolicLink(file, Path.Combine("..", "blobs", Path.GetFileName(blob)));
            }
            catch (Exception error) when (OperatingSystem.IsWindows() && error is IOException or UnauthorizedAccessException)
            {
                return; // Windows may not let us
            }
        }

        using ModelBundle bundle = ModelSource.Load(folder);
        Assert.Equal(2, bundle.Model.Config.Layers);
        File.Delete(Path.Combine(blobs, "model.safetensors.blob"));
        Assert.Throws<RbeFileException>(() => ModelSource.Load(folder));
        File.Delete(Path.Combine(folder, "config.json"));
        File.CreateSymbolicLink(Path.Combine(folder, "config.json"), "config.json"); // to itself
        Assert.Throws<RbeFileException>(() => ModelSource.Load(folder));
    }

    [Fact]
    public void Nesting_without_end_is_refused_by_every_reader_of_JSON()
    {
        string deep = new string('[', 200_000) + new string(']', 200_000);
        string folder = new HuggingFaceModel(8, 16).Write(_folder.File("model"));
        foreach (string name in (string[])["config.json", "vocab.json", "model.safetensors.index.json"])
        {
            string path = Path.Combine(folder, name);
            string? old = File.Exists(path) ? File.ReadAllText(path) : null;
            File.WriteAllText(path, "{\"a\":" + deep + "}");
            Action load = name.Contains("index", StringComparison.Ordinal) ? () => SafetensorsSet.Open(path).Dispose() : name == "vocab.json"
                ? () => Gpt2TokenizerFiles.Load(path, path) : () => ModelSource.Load(folder).Dispose();
            Assert.Throws<RbeFileException>(load);
            if (old is null) File.Delete(path);
            else File.WriteAllText(path, old);
        }

        byte[] json = Encoding.UTF8.GetBytes("{\"a\":" + deep + "}");
        string safetensors = _folder.File("deep.safetensors");
        File.WriteAllBytes(safetensors, [.. BitConverter.GetBytes((long)json.Length), .. json]);
        Assert.Throws<RbeFileException>(() => SafetensorsFile.Open(safetensors));
    }

    private static IEnumerable<string> Names(int count) => Enumerable.Range(0, count).Select(i => $"model.layers.{i}.weight");

    private static RbeTensor Copy(RbeContainer file, RbeTensorInfo tensor) => tensor.Element switch
    {
        RbeElement.F32 => RbeTensor.From(tensor.Name, file.Read<float>(tensor.Name), [.. tensor.Shape]),
        RbeElement.F16 => RbeTensor.From(tensor.Name, file.Read<Half>(tensor.Name), [.. tensor.Shape]),
        RbeElement.U16 => RbeTensor.From(tensor.Name, file.Read<ushort>(tensor.Name), [.. tensor.Shape]),
        _ => RbeTensor.From(tensor.Name, file.Read<byte>(tensor.Name), [.. tensor.Shape]),
    };

    // Refused with a typed error, and without memory for what is claimed.
    private void AssertCheap(JsonObject metadata, IReadOnlyList<RbeTensor> tensors, Func<string, IDisposable> load, int copies = 0)
    {
        string path = _folder.File("claims.rbe");
        RbeContainerWriter.Write(path, metadata, tensors);
        using MemoryCounter counter = MemoryCounter.Open();
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<RbeFileException>(() => load(path).Dispose());
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before + counter.PeakBytes, 0, ((2 + copies) * new FileInfo(path).Length) + Room);
    }
}
