using RbeMl.Files;

namespace RbeMl.Cli.Inspect;

/// <summary>Which part of the model each tensor of a file belongs to.</summary>
internal sealed class FileParts
{
    private const string Header = "header and gaps";
    private readonly Dictionary<string, long> _matrixBytes = [];
    private readonly Dictionary<string, (int Tensors, long Bytes)> _parts = [];
    private readonly long _length;

    /// <summary>Sorts the tensors of a file.</summary>
    public FileParts(RbeInspection file)
    {
        _length = file.Length;
        HashSet<string> matrices = [.. file.Matrices.Select(m => m.Name)];
        foreach (RbeTensorInfo tensor in file.Tensors)
        {
            int dot = tensor.Name.LastIndexOf('.');
            string owner = dot < 0 ? "" : tensor.Name[..dot], last = tensor.Name[(dot + 1)..];
            bool ofMatrix = matrices.Contains(owner) && last != "bias";
            if (ofMatrix && last != "tileErrors") _matrixBytes[owner] = _matrixBytes.GetValueOrDefault(owner) + tensor.ByteLength;
            string part = ofMatrix ? MatrixPart(owner, last, file.Config is not null) : VectorPart(tensor.Name, last);
            (int count, long bytes) = _parts.GetValueOrDefault(part);
            _parts[part] = (count + 1, bytes + tensor.ByteLength);
        }
    }

    /// <summary>Bytes that a matrix takes in the file, errors of tiles apart.</summary>
    public long BytesOf(string matrix) => _matrixBytes.GetValueOrDefault(matrix);

    /// <summary>The parts, the largest first, and what of the file is none of them.</summary>
    public IReadOnlyList<PartRecord> All()
    {
        long rest = _length - _parts.Values.Sum(p => p.Bytes);
        return [.. _parts.OrderByDescending(p => p.Value.Bytes)
            .Select(p => new PartRecord(p.Key, p.Value.Tensors, p.Value.Bytes, (double)p.Value.Bytes / _length)),
                new PartRecord(Header, 0, rest, (double)rest / _length)];
    }

    private static string MatrixPart(string owner, string last, bool model) => last == "tileErrors"
        ? "errors of tiles"
        : !model ? "matrices"
        : owner.StartsWith("blocks.", StringComparison.Ordinal) ? "matrices of the blocks" : "embeddings and head";

    private static string VectorPart(string name, string last) => last switch
    {
        _ when name.StartsWith("classifier.", StringComparison.Ordinal) => "head of the classifier",
        "bias" => "biases",
        _ when name.Contains(".gamma", StringComparison.Ordinal) || name.Contains(".beta", StringComparison.Ordinal) => "LayerNorms",
        _ when name.StartsWith("embedding.", StringComparison.Ordinal) || name.StartsWith("head", StringComparison.Ordinal) => "embeddings and head",
        _ when name.StartsWith("dense.", StringComparison.Ordinal) => "dense tensors",
        _ => "other",
    };
}
