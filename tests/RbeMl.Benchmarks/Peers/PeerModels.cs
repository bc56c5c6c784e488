using System.Globalization;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Models;

namespace RbeMl.Benchmarks.Peers;

/// <summary>
/// The shape of GPT-2 small with GPT-2's initialisation, and biases and LayerNorms that are neither zeros nor ones, as the files of both libraries. A peer is
/// named <c>llama:Q4_K_M</c>, or <c>q4</c>, <c>t4</c>, <c>sparse</c> or <c>dense</c> with <c>+int8</c> (activations of prompts), <c>+int8w</c>, <c>+bf16</c>
/// or <c>+f32</c> (weights of the copy for generation) and <c>+table6</c> (a tied table of that many bits).
/// </summary>
/// <param name="Folder">Where the files lie; those that are there are taken.</param>
/// <param name="Vocabulary">Token ids, at least 256.</param>
/// <param name="Layers">Blocks.</param>
internal sealed record PeerModels(string Folder, int Vocabulary, int Layers)
{
    /// <summary>Positions.</summary>
    public const int Positions = 1024;

    private const string Llama = "llama:";

    private TransformerConfig Config { get; } =
        new() { Width = 768, Heads = 12, Layers = Layers, Vocabulary = Vocabulary, MaxSequenceLength = Positions };

    /// <summary>Makes the file of a peer, where it is not there.</summary>
    public string File(string peer)
    {
        bool llama = peer.StartsWith(Llama, StringComparison.Ordinal);
        string stored = llama ? peer[Llama.Length..]
            : string.Join('-', peer.Split('+').Where((word, i) => i == 0 || word.StartsWith("table", StringComparison.Ordinal)));
        string path = Path.Combine(Folder, $"{Layers}-{Vocabulary}-{stored}{(llama ? ".gguf" : ".rbe")}");
        if (System.IO.File.Exists(path)) return path;
        string whole = path + ".part"; // until it is
        if (!llama) Save(whole, stored.Split('-'));
        else if (stored == "F32") GgufFile.Write(whole, Config, Tables(), Enumerable.Range(0, Layers).Select(Block));
        else LlamaPeer.Quantize(File(Llama + "F32"), whole, stored, Environment.ProcessorCount);
        System.IO.File.Move(whole, path);
        return path;
    }

    /// <summary>Bytes that a new token reads: the file but for its positions, of which it reads one.</summary>
    public long BytesOfToken(string peer) => new FileInfo(File(peer)).Length - (Positions * Config.Width * sizeof(float));

    /// <summary>Loads a peer of its file.</summary>
    public IPeer Load(string peer, int threads)
    {
        string path = File(peer);
        if (peer.StartsWith(Llama, StringComparison.Ordinal)) return new LlamaPeer(path, threads);
        string[] words = peer.Split('+');
        WeightPrecision? precision = words.Contains("int8w") ? WeightPrecision.Int8 : words.Contains("bf16") ? WeightPrecision.BFloat16
            : words.Contains("f32") ? WeightPrecision.Float32 : null;
        return new RbePeer(path, precision, words.Contains("int8") ? ActivationPrecision.Int8 : ActivationPrecision.Float32, threads);
    }

    private void Save(string path, string[] words)
    {
        RbeOptions options = OptionsOf(words[0]);
        TransformerWeights weights = Tables() with
        { Config = Config, Blocks = [.. Enumerable.Range(0, Layers).Select(l => BlockWeights.Compress(Block(l), Config, options))] };
        if (words.Length > 1)
        {
            RbeOptions table = new() { Format = RbeFormat.Quantized(Whole(words[1]["table".Length..])), Alphas = false };
            weights = weights with { TokenEmbedding = RbeCompressor.Compress(weights.TokenEmbedding.Dense!, Vocabulary, Config.Width, table) };
        }

        ModelFile.Save(path, weights);
    }

    private static RbeOptions OptionsOf(string word) => word switch
    {
        "dense" => RbeOptions.Dense,
        "sparse" => new RbeOptions { Format = RbeFormat.Sparse(300, SupportRule.Runs(16)) },
        ['q', .. string bits] => new RbeOptions { Format = RbeFormat.Quantized(Whole(bits)) },
        ['t', .. string bits] => new RbeOptions { Format = RbeFormat.Trellis(Whole(bits)) },
        _ => throw new InvalidDataException($"There is no peer {word}. Use llama:TYPE, q2 to q8, t2 to t6, sparse or dense."),
    };

    private static int Whole(string text) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value
        : throw new InvalidDataException($"'{text}' is no number of bits. Use one such as q4, t3 or table6.");

    private TransformerWeights Tables() => TransformerWeights.CreateRandom(Config with { Layers = 1 }, RbeOptions.Dense, 1);

    private DenseBlockWeights Block(int layer)
    {
        DenseBlockWeights block = DenseBlockWeights.Gpt2Initialization(Config, layer + 1);
        Random random = new(layer);
        int d = Config.Width, f = Config.HiddenWidth;
        return block with
        {
            Vectors = block.Vectors with
            {
                QueryBias = Around(0, d, 0.1),
                KeyBias = Around(0, d, 0.1),
                ValueBias = Around(0, d, 0.1),
                OutputBias = Around(0, d, 0.1),
                UpProjectionBias = Around(0, f, 0.1),
                DownProjectionBias = Around(0, d, 0.1),
                Gamma1 = Around(1, d, 0.2),
                Gamma2 = Around(1, d, 0.2),
                Beta1 = Around(0, d, 0.2),
                Beta2 = Around(0, d, 0.2),
            },
        };

        float[] Around(double centre, int count, double width) =>
            [.. Enumerable.Range(0, count).Select(_ => (float)(centre + ((random.NextDouble() - 0.5) * width)))];
    }
}
