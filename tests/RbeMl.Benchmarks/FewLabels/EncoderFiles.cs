using System.Reflection;
using RbeMl.Codec;
using RbeMl.Compression;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Packing;
using RbeMl.Text;

namespace RbeMl.Benchmarks.FewLabels;

/// <summary>
/// The encoders of the two packages as <c>.rbe</c> files, each made once in a folder: dense, calibrated, plain, or with a trainable delta,
/// which takes the place of the calibration.
/// </summary>
internal static class EncoderFiles
{
    private const int DeltaPlaces = 64;

    // Such a format is not calibrated.
    private const string Plain = "plain";

    /// <summary>The packages' names, and how their models pool.</summary>
    public static IReadOnlyDictionary<string, Pooling> Models { get; } =
        new Dictionary<string, Pooling> { ["MiniLM"] = Pooling.Mean, ["ArcticXs"] = Pooling.First };

    /// <summary>Words of the formats of the matrices, which are calibrated unless they are plain; word embeddings have the same bits.</summary>
    public static IReadOnlyDictionary<string, RbeFormat?> Formats { get; } = new Dictionary<string, RbeFormat?>
    {
        ["dense"] = null,
        ["8"] = RbeFormat.Quantized(8),
        ["5"] = RbeFormat.Trellis(5),
        ["4"] = RbeFormat.Trellis(4),
        ["5 plain"] = RbeFormat.Trellis(5),
        ["4 plain"] = RbeFormat.Trellis(4),
    };

    /// <summary>The file of a model; made if it is not there.</summary>
    public static string Make(string folder, string model, string format, bool delta)
    {
        string path = Path.Combine(folder, $"{model}-{format.Replace(' ', '-')}{(delta && Formats[format] is not null ? "-delta" : "")}.rbe");
        if (File.Exists(path)) return path;
        string work = Directory.CreateTempSubdirectory("rbeml-few-labels-").FullName;
        try
        {
            string onnx = Path.Combine(work, "model.onnx"), library = Library(model);
            PackageResources.Extract(library, "Resources.model.onnx", onnx);
            PackageResources.Extract(library, "Resources.vocab.txt", Path.Combine(work, "vocab.txt"));
            using OnnxModelFile file = OnnxModelFile.Open(onnx);
            WordPieceTokenizer tokenizer = file.Tokenizer!;
            EncoderSettings settings = new() { Pooling = Models[model], Normalize = true, MaxTokens = 256 };
            bool calibrate = !format.EndsWith(Plain, StringComparison.Ordinal);
            ModelFile.Save(path, Weights(file, tokenizer, Formats[format], delta, calibrate) with { Encoder = settings }, tokenizer);
            return path;
        }
        finally
        {
            Directory.Delete(work, recursive: true);
        }
    }

    private static TransformerWeights Weights(OnnxModelFile file, WordPieceTokenizer tokenizer, RbeFormat? format, bool delta, bool calibrate)
    {
        if (format is null) return file.ReadWeights(RbeOptions.Dense);
        RbeFormat trained = format switch
        {
            TrellisFormat trellis => trellis with { Delta = RbeFormat.Sparse(DeltaPlaces) },
            QuantizedFormat quantized => quantized with { Delta = RbeFormat.Sparse(DeltaPlaces) },
            _ => format,
        };
        return ModelCompressor.Compress(file, new CompressionRequest
        {
            Options = new RbeOptions { Format = delta ? trained : format },
            Embeddings = new RbeOptions { Format = format },
            Calibration = delta || !calibrate ? null : EncoderPacker.CalibrationOf(tokenizer),
        }).Weights;
    }

    private static string Library(string model)
    {
        string package = "SentenceTransformers." + model;
        return Path.Combine(Metadata("PackageRoot"), package.ToLowerInvariant(), Metadata("PackageVersion"), "lib", "netstandard2.1", package + ".dll");
    }

    private static string Metadata(string key) => typeof(EncoderFiles).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
        .Single(attribute => attribute.Key == key).Value!;
}
